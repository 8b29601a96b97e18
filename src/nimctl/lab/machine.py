"""What is peculiar about the machine that the lab runs on.

Most machines have one cgroup hierarchy (v2) and let root raise its limits; there, plain podman or docker
does. Some do not: sandboxes and older kernels mount the hybrid hierarchy, that crun refuses, and keep
CAP_SYS_RESOURCE from root, so that no container may ask for more open files than the machine allows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

CAP_SYS_RESOURCE = 24
_LIMIT = re.compile(r"^(Max open files|Max processes)\s+\S+\s+(\S+)", re.MULTILINE)
_PID_MAX = re.compile(r"^pid_max (\d+)$", re.MULTILINE)
_CAPABILITIES = re.compile(r"^CapBnd:\s*([0-9a-f]+)$", re.MULTILINE)

PROBE = (
    "cat /proc/self/status /proc/self/limits; stat -fc 'cgroup %T' /sys/fs/cgroup; "
    "echo pid_max $(cat /proc/sys/kernel/pid_max)"
)
"""A shell script whose output ``read_probe`` understands."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Facts about a machine, as root sees them there.

    ``max_files`` and ``max_processes`` are hard limits; None is unlimited.
    """

    cgroup_v2: bool
    may_raise_limits: bool
    max_files: int | None
    max_processes: int | None

    @property
    def plain(self) -> bool:
        """Whether container engines work in the nodes without help."""
        return self.cgroup_v2 and self.may_raise_limits

    @property
    def ulimits(self) -> list[str]:
        """Limits to state because an engine's own default would ask for more than is allowed."""
        if self.may_raise_limits:
            return []
        limits = {"nofile": self.max_files, "nproc": self.max_processes}
        return [f"{name}={value}:{value}" for name, value in limits.items() if value is not None]


def read_probe(text: str) -> Machine:
    """Understand the output of ``PROBE``."""
    limits = {match[1]: match[2] for match in _LIMIT.finditer(text)}
    processes = _number(limits.get("Max processes", "unlimited"))
    pid_max = _PID_MAX.search(text)
    if pid_max and processes is not None:
        # podman lowers its own limit to the number of process ids, and cannot go back.
        processes = min(processes, int(pid_max[1]))
    bounding = _CAPABILITIES.search(text)
    return Machine(
        cgroup_v2="cgroup cgroup2fs" in text,
        may_raise_limits=bool(bounding and int(bounding[1], 16) >> CAP_SYS_RESOURCE & 1),
        max_files=_number(limits.get("Max open files", "unlimited")),
        max_processes=processes,
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None
