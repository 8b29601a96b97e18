"""The podman or docker that runs the lab's nodes, behind one face.

Only what differs between the two is spelled out. The docker side follows docker's documented flags and
was not run by us; the podman side is what the tests run.
"""

from __future__ import annotations

import ipaddress
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO, Any

from nimctl.errors import NimctlError
from nimctl.lab.command import CommandError, root_prefix, run
from nimctl.lab.machine import PROBE, Machine, read_probe
from nimctl.lab.tarball import Files, pack

_GONE = ("no such", "not known", "not found", "does not exist")


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine knows it; ``state`` is its word for it: created, running, exited, ..."""

    name: str
    state: str
    labels: Mapping[str, str]

    @property
    def running(self) -> bool:
        """Whether its first process runs."""
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class Network:
    """A network as the engine knows it, with its first IPv4 range."""

    subnet: ipaddress.IPv4Network
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Containers:
    """An engine and how to call it.

    Attributes:
        kind: ``podman`` or ``docker``.
        command: What every call begins with: sudo where needed, the program, global options.
        machine: The machine's peculiarities; None until they were asked for (docker: needs an image).
        environment: Variables for every call.
    """

    kind: str
    command: tuple[str, ...]
    machine: Machine | None
    environment: Mapping[str, str] = field(default_factory=dict)

    def __call__(
        self,
        *arguments: str,
        data: bytes | None = None,
        source: IO[bytes] | None = None,
        timeout: float | None = 300,
        check: bool = True,
    ) -> CompletedProcess[str]:
        """Call the engine.

        Raises:
            CommandError: it failed.
        """
        return run(
            (*self.command, *arguments),
            data=data,
            source=source,
            environment=self.environment,
            timeout=timeout,
            check=check,
        )

    def listed(self, kind: str, label: str) -> list[str]:
        """Names or ids of all containers, volumes, networks or images with a label."""
        words = {
            "container": ("ps", "--all", "--quiet", "--no-trunc"),
            "volume": ("volume", "ls", "--quiet"),
            "network": ("network", "ls", "--quiet"),
            "image": ("images", "--quiet", "--no-trunc"),
        }[kind]
        return list(dict.fromkeys(self(*words, "--filter", f"label={label}").stdout.split()))

    def containers(self, label: str) -> dict[str, Container]:
        """All containers with a label, by name."""
        found: dict[str, Container] = {}
        for item in self._inspect("container", self.listed("container", label)):
            name = str(item["Name"]).lstrip("/")
            labels = item["Config"].get("Labels") or {}
            found[name] = Container(name, str(item["State"]["Status"]), labels)
        return found

    def networks(self) -> dict[str, Network]:
        """Every engine network that has an IPv4 range, by name."""
        found: dict[str, Network] = {}
        for item in self._inspect("network", self("network", "ls", "--format", "{{.Name}}").stdout.split()):
            name = str(item.get("name") or item.get("Name"))
            ranges = item.get("subnets") or (item.get("IPAM") or {}).get("Config") or []
            labels = item.get("labels") or item.get("Labels") or {}
            for entry in ranges:
                text = str(entry.get("subnet") or entry.get("Subnet"))
                if ":" not in text:
                    found.setdefault(name, Network(ipaddress.IPv4Network(text, strict=False), labels))
        return found

    def has_image(self, reference: str) -> bool:
        """Whether an image is here."""
        return bool(self._inspect("image", [reference]))

    def create(
        self, name: str, image: str, options: Sequence[str], files: Files, command: Sequence[str] = ()
    ) -> None:
        """Create a container, not started yet, with files put into it."""
        limits = [f"--ulimit={limit}" for limit in self.machine.ulimits] if self.machine else []
        self("create", "--name", name, *limits, *options, image, *command)
        if files:
            self("cp", "-", f"{name}:/", data=pack(files))

    def remove_container(self, name: str) -> None:
        """Remove a container with its anonymous volumes, running or not; fine where it is gone."""
        patience = ["--time=0"] if self.kind == "podman" else []
        forget(lambda: self("rm", "--force", "--volumes", *patience, name))

    def node_options(self) -> list[str]:
        """Options that make a container whose first process is systemd."""
        if self.kind == "podman":
            return ["--privileged", "--systemd=always"]
        return [
            "--privileged",
            "--cgroupns=private",
            "--tmpfs=/run",
            "--tmpfs=/run/lock",
            "--env=container=docker",
            "--stop-signal=SIGRTMIN+3",
        ]

    def probed(self, image: str) -> Containers:
        """The same engine with its machine's peculiarities known; docker's are seen from a container."""
        if self.machine:
            return self
        text = self(
            "run", "--rm", "--privileged", f"--label={'nimctl.lab.cache'}=probe", image, "sh", "-c", PROBE
        )
        return Containers(self.kind, self.command, read_probe(text.stdout), self.environment)

    def _inspect(self, kind: str, names: Sequence[str]) -> list[dict[str, Any]]:
        """What the engine knows of things; of those that are gone, nothing."""
        if not names:
            return []
        done = self(kind, "inspect", *names, check=False)
        if not done.returncode:
            return list(json.loads(done.stdout))
        if not any(word in done.stderr.lower() for word in _GONE):
            raise CommandError((*self.command, kind, "inspect", *names), done.returncode, done.stderr)
        # Somebody removed one of them meanwhile: the others are still wanted.
        return [item for name in names for item in self._inspect(kind, [name])] if len(names) > 1 else []


def forget(removal: Any) -> None:
    """Do a removal; that the thing is gone already is fine."""
    try:
        removal()
    except CommandError as error:
        if not any(word in error.output.lower() for word in _GONE):
            raise


def detect(scratch: Path) -> Containers:
    """Find the engine that the lab uses: podman where it is installed, else a docker that answers.

    Args:
        scratch: Folder for the engine's temporary files, so that what an interrupted call leaves is found.

    Raises:
        NimctlError: there is none, or something that it needs is missing.
    """
    prefix = root_prefix()
    if shutil.which("podman"):
        machine = read_probe(run((*prefix, "sh", "-c", PROBE)).stdout)
        options: tuple[str, ...] = ()
        if not machine.cgroup_v2:
            if not _which("runc"):
                raise NimctlError(
                    "This machine has the older cgroup hierarchy (v1), that podman's runtime crun refuses.\n"
                    "Install runc (apt-get install runc); the lab uses it by itself then."
                )
            options = ("--runtime", "runc")
        env = ("env", f"TMPDIR={scratch}") if prefix else ()
        return Containers(
            "podman", (*prefix, *env, "podman", *options), machine, {} if prefix else {"TMPDIR": str(scratch)}
        )
    if shutil.which("docker"):
        answer = run((*prefix, "docker", "info", "--format", "{{.ServerVersion}}"), check=False, timeout=30)
        if answer.returncode == 0:
            return Containers("docker", (*prefix, "docker"), None)
        raise NimctlError(
            "docker is installed but its daemon does not answer, and there is no podman:\n"
            f"  {answer.stderr.strip().splitlines()[-1] if answer.stderr.strip() else 'no message'}\n"
            "Start the daemon, or install podman (make setup)."
        )
    raise NimctlError(
        "The lab needs podman or docker. `make setup` installs podman; so does your package manager."
    )


def _which(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/sbin")
