"""Say who this run is, and whether an earlier run of the same person on this controller still lives."""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


def process_start(pid: int) -> str:
    """When a process started, in clock ticks since boot; empty if there is no such process."""
    try:
        # The name in parentheses may hold spaces; the 22nd field is the 20th after it.
        return (
            Path(f"/proc/{pid}/stat")
            .read_text(encoding="utf-8", errors="replace")
            .rpartition(")")[2]
            .split()[19]
        )
    except (OSError, IndexError):
        return ""


def text_of(path: str) -> str:
    """A short system file, or nothing where there is none."""
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def identity() -> dict[str, Any]:
    """This run. Tasks run in children of ansible-playbook, so that process is the one that stands for it."""
    pid = os.getppid()
    started = process_start(pid)
    owner = f"{os.environ.get('SUDO_USER') or getpass.getuser()}@{socket.gethostname()}"
    return {
        "owner": owner,
        "machine": text_of("/etc/machine-id"),
        "boot": text_of("/proc/sys/kernel/random/boot_id"),
        "pid": pid,
        "started": started,
        "run": os.environ.get("NIMCTL_RUN_ID") or f"{socket.gethostname()}-{pid}-{started}",
    }


def dead(lease: dict[str, Any], own: dict[str, Any]) -> bool:
    """Whether a lease was left behind by a process of this person on this controller that is gone."""
    if (lease["owner"], lease["machine"]) != (own["owner"], own["machine"]):
        return False
    if lease["boot"] != own["boot"]:
        return bool(own["machine"] and own["boot"])
    return bool(own["started"]) and process_start(int(lease["pid"])) != lease["started"]


class ActionModule(ActionBase):
    """Take the lease; if a dead run of one's own is in the way, break it and take it again."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, then on the node."""
        super().run(tmp, task_vars)
        own = identity()
        arguments = {**self._task.args, "identity": own}
        result = self._module(arguments, task_vars)
        other = result.get("holder")
        if other and dead(other, own):
            result = self._module({**arguments, "breaking": other["run"]}, task_vars)
        elif other and not result.get("failed"):
            # Check mode looks on while somebody else works; what it finds may change under its eyes.
            result["warnings"] = [*result.get("warnings", []), result["refusal"]]
        return result

    def _module(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            "nimctl.multinode.lease", module_args=arguments, task_vars=task_vars
        )
        return result
