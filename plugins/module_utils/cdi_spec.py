"""Keeping the CDI specification of a node's GPUs as the node is."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.host import cdi, devices, driver
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import journal, show
from ansible_collections.nimctl.multinode.plugins.module_utils.versions import older

Run = Callable[..., "tuple[int, str, str]"]
"""Runs a command and gives its exit status, stdout and stderr."""

OUTPUT = "/var/run/cdi/nvidia.yaml"
"""Where the unit of NVIDIA's package writes, and engines look first."""
GPU = re.compile(r"/dev/nvidia\d+$")
LEFTOVER = "leftover"
BY_HAND = "somebody who wrote it by hand"
HOOK_PROGRAMS = ("nvidia-container-toolkit", "nvidia-container-runtime-hook")


@dataclass
class Found:
    """The specification that engines go by, those that it hides, and what is wrong with it."""

    effective: Mapping[str, Any] | None
    hidden: Sequence[Mapping[str, Any]]
    wrong: list[str]


def look(tree: Tree, kind: str, below: str = "") -> Found:
    """Compare the specifications of a kind of device with the host.

    ``below`` is the first version of CDI that an engine here cannot read; empty where each reads all.
    """
    ours = [spec for spec in cdi.read(tree) if spec["kind"] == kind]
    if not ours:
        unreadable = [text for text in tree.problems if text.startswith(cdi.FOLDERS)]
        return Found(None, [], unreadable or ["there is none"])
    # Engines let a specification below /run win over one below /etc.
    ours.sort(key=lambda spec: not spec["path"].startswith(("/run/", "/var/run/")))
    effective, hidden = ours[0], ours[1:]
    wrong = list(effective["stale"])
    names = effective["devices"]
    numbered = [name for name in names if name.isdigit()]
    there = [node["path"] for node in devices.read(tree) if GPU.match(node["path"])]
    # Slices of a GPU take the place of the whole in the list of devices.
    sliced = any(":" in name for name in names)
    if numbered and not sliced and len(numbered) != len(there):
        wrong.append(f"it has {len(numbered)} GPUs, and the node has {len(there)}")
    if below and not older(effective["version"], below):
        version = effective["version"]
        wrong.append(f"it is of version {version}, and an engine here reads those below {below}")
    return Found(effective, hidden, wrong)


def driver_is_loaded(tree: Tree) -> bool:
    """Whether there is a driver that can say which GPUs there are."""
    return bool(driver.loaded(tree)[0])


@dataclass
class Renewal:
    """Writes the specification anew: by NVIDIA's own unit where it does that here, else directly.

    ``unit`` is a name without its ending: a ``.service`` that writes, a ``.path`` that waits for a change of
    the driver. Empty for none.
    """

    run: Run
    unit: str
    flags: Sequence[str]
    did: list[str] = field(default_factory=list)

    def watch(self, check: bool) -> None:
        """Have the units start with the node, and the watch run now: installing a package starts nothing."""
        for name, runs in ((f"{self.unit}.service", False), (f"{self.unit}.path", True)):
            state = self._state(name)
            if state["LoadState"] != "loaded":
                continue
            # Only where systemd says so: it takes GPUs from containers that got them without CDI.
            if state["NeedDaemonReload"] == "yes":
                self._order(["daemon-reload"], check)
            if state["UnitFileState"] != "enabled":
                self._order(["enable", name], check)
            if runs and state["ActiveState"] != "active":
                self._order(["start", name], check)

    def by_unit(self) -> bool:
        """Have the unit do it. Returns whether there is one. Raises NodeError with its log."""
        name = f"{self.unit}.service"
        if self._state(name)["LoadState"] != "loaded":
            return False
        self._order(["restart", name], check=False)
        return True

    def directly(self) -> None:
        """Run what the unit would run. Raises NodeError with what it says."""
        if shutil.which("nvidia-ctk") is None:
            raise NodeError(
                "nvidia-ctk is not installed, so nothing can write a CDI specification of the GPUs. Install "
                "nvidia-container-toolkit-base."
            )
        Path(OUTPUT).parent.mkdir(parents=True, exist_ok=True)
        command = ["nvidia-ctk", "cdi", "generate", f"--output={OUTPUT}"]
        command += [f"--feature-flag={flag}" for flag in self.flags]
        status, out, err = self.run(command)
        if status != 0:
            raise NodeError(f"{' '.join(command)} failed: {(err or out).strip()[-1000:]}")
        self.did.append(" ".join(command))

    def _state(self, name: str) -> dict[str, str]:
        properties = ["LoadState", "UnitFileState", "ActiveState", "NeedDaemonReload"]
        return show(self.run, [name] if self.unit else [], properties).get(name, {"LoadState": ""})

    def _order(self, words: list[str], check: bool) -> None:
        self.did.append(" ".join(["systemctl", *words]))
        if check:
            return
        status, out, err = self.run(["systemctl", *words])
        if status != 0:
            lines = "".join(f"\n  {line}" for line in journal(self.run, words[-1], 15))
            raise NodeError(f"systemctl {' '.join(words)} failed: {err.strip() or out.strip()}{lines}")


def docker_serves_cdi(run: Run) -> bool:
    """Whether the docker daemon that runs here knows CDI; true where none runs."""
    if shutil.which("docker") is None:
        return True
    status, out, _ = run(["docker", "info", "--format", "{{json .CDISpecDirs}}"])
    if status != 0:
        return True
    return bool(json.loads(out.strip() or "null"))


def old_hook(run: Run, path: str) -> str:
    """What a hook for podman is: empty where there is none, LEFTOVER, or whose it is.

    A leftover belongs to no installed package and starts NVIDIA's hook program.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    dpkg = Path("/usr/bin/dpkg-query").exists()
    owner = ["dpkg-query", "--search"] if dpkg else ["rpm", "--query", "--file"]
    status, out, _ = run([*owner, path])
    if status == 0:
        return f"the package {out.partition(':')[0].strip()}"
    try:
        program = json.loads(text)["hook"]["path"]
    except (ValueError, KeyError, TypeError):
        return BY_HAND
    return LEFTOVER if Path(str(program)).name in HOOK_PROGRAMS else BY_HAND
