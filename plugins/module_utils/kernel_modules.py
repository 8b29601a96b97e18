"""Kernel modules: which are loaded at boot and now, which never, and with which options.

modules-load.d(5) and modprobe.d(5) say what happens at the next boot; /proc/modules and /sys/module what is.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record, read
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import Run

HEAD = "# Written by nimctl for {owner}; changes are undone by its next run.\n"


def plain(name: str) -> str:
    """A module's name as the kernel has it: modprobe takes a dash for an underscore."""
    return name.replace("-", "_")


def texts(
    owner: str,
    load: Sequence[str],
    blacklist: Sequence[str],
    options: Mapping[str, Mapping[str, object]],
    etc: Path = Path("/etc"),
) -> dict[str, str]:
    """Paths and texts of the files that make it so at each boot."""
    head = HEAD.format(owner=owner)
    never = [f"blacklist {name}\n" for name in blacklist]
    given = [
        f"options {module} {' '.join(f'{key}={_word(value)}' for key, value in sorted(values.items()))}\n"
        for module, values in sorted(options.items())
        if values
    ]
    found = {}
    if load:
        found[str(etc / f"modules-load.d/50-nimctl-{owner}.conf")] = head + "".join(f"{n}\n" for n in load)
    if never or given:
        found[str(etc / f"modprobe.d/50-nimctl-{owner}.conf")] = head + "".join([*never, *given])
    return found


class Kernel:
    """The modules of the running kernel, below ``root``."""

    def __init__(self, run: Run, root: Path = Path("/")) -> None:
        self.run, self.root = run, root
        self.release = (read(root / "proc/sys/kernel/osrelease") or os.uname().release).strip()

    def missing(self, load: Iterable[str]) -> list[str]:
        """Those modules that are neither loaded nor part of the kernel."""
        loaded = {line.split()[0] for line in (read(self.root / "proc/modules") or "").splitlines() if line}
        builtin = read(self.root / f"lib/modules/{self.release}/modules.builtin") or ""
        known = loaded | {plain(Path(line).name.split(".")[0]) for line in builtin.split()}
        return [name for name in load if plain(name) not in known]

    def insert(self, names: Iterable[str]) -> None:
        """Load modules. Raises NodeError with what modprobe says."""
        for name in names:
            status, out, err = self.run(["modprobe", name])
            if status != 0:
                raise NodeError(
                    f"The kernel module {name} could not be loaded into the running kernel {self.release}: "
                    f"{err.strip() or out.strip()}. It may be missing for this kernel (modinfo {name}), or "
                    "Secure Boot may have refused it (dmesg)."
                )

    def take_out(self, names: Iterable[str]) -> None:
        """Unload modules, last one first; one that is in use stays until the next boot."""
        for name in reversed(list(names)):
            self.run(["modprobe", "--remove", "--quiet", name])

    def waits_for_boot(
        self, blacklist: Iterable[str], options: Mapping[str, Mapping[str, object]]
    ) -> list[str]:
        """What the kernel still has otherwise, as sentences."""
        modules = self.root / "sys/module"
        found = [
            f"The kernel module {name} is loaded and must not be: it goes with a reboot."
            for name in blacklist
            if (modules / plain(name) / "refcnt").exists()
        ]
        for module, values in sorted(options.items()):
            for key, value in sorted(values.items()):
                live = read(modules / plain(module) / "parameters" / key)
                if live is not None and _same(live) != _same(_word(value)):
                    found.append(
                        f"The kernel module {module} runs with {key}={live.strip()}; {key}={_word(value)} "
                        "holds when it is loaded the next time, for example by a reboot."
                    )
        return found


def settle(kernel: Kernel, record: Record, load: Sequence[str], now: bool, check: bool) -> list[str]:
    """Load what is missing, and unload what this owner has loaded and no longer wants; the missing ones."""
    absent = kernel.missing(load)
    ours = list(record.content.get("loaded", []))
    if check:
        return absent
    if now:
        # Before, so that an interrupted run leaves nothing that nobody remembers.
        _remember(record, [*ours, *(name for name in absent if name not in ours)])
        kernel.insert(absent)
    kernel.take_out(name for name in ours if name not in load)
    _remember(record, [name for name in record.content.get("loaded", []) if name in load])
    return absent


def _remember(record: Record, loaded: list[str]) -> None:
    rest = {key: value for key, value in record.content.items() if key != "loaded"}
    record.save({**rest, "loaded": loaded} if loaded else rest)


def _word(value: object) -> str:
    return {True: "1", False: "0"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _same(text: str) -> str:
    """A parameter's value so that two ways of writing it are equal: the kernel shows 1 as Y."""
    return {"Y": "1", "N": "0", "y": "1", "n": "0"}.get(text.strip(), text.strip())
