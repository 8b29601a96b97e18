#!/usr/bin/python3
"""An OCI runtime for lab nodes on peculiar machines: asks for what the machine allows, then calls runc.

Container engines ask for resource limits, capabilities and a cgroup set-up that a real GPU machine grants
and some development machines do not. What is asked for in vain is lowered, and each lowering is written to
/var/log/runc-lab.log: the lab cannot show that a limit was really raised, but it shows that it was asked for.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Document = dict[str, Any]

RUNC = "/usr/local/libexec/nimctl-lab/runc"
LOG = Path("/var/log/runc-lab.log")
CAP_SYS_RESOURCE = 24
# The kernel's order; a capability's number is its place.
CAPABILITIES = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
]


def own_host() -> Document:
    """What this machine allows: bounding set, hard limits, lowest OOM score, whether cgroups are v2."""
    status = Path("/proc/self/status").read_text()
    bounding = int(status.split("CapBnd:")[1].split()[0], 16)
    limits = {}
    for name in dir(resource):
        if name.startswith("RLIMIT_"):
            limits[name] = resource.getrlimit(getattr(resource, name))[1]
    return {
        "bounding": bounding,
        "limits": limits,
        "oom_score": int(Path("/proc/self/oom_score_adj").read_text()),
        "cgroup_v2": Path("/sys/fs/cgroup/cgroup.controllers").exists(),
    }


def clamp_process(process: Document, host: Document) -> list[str]:
    """Lower what a process asks for to what the host allows; says what was lowered."""
    said: list[str] = []
    if host["bounding"] >> CAP_SYS_RESOURCE & 1:
        return said
    for limit in process.get("rlimits") or []:
        most = host["limits"].get(limit["type"], resource.RLIM_INFINITY)
        for side in ("hard", "soft"):
            if most != resource.RLIM_INFINITY and limit[side] > most:
                said.append(f"{limit['type']} {side} {limit[side]} -> {most}")
                limit[side] = most
    score = process.get("oomScoreAdj")
    if score is not None and score < host["oom_score"]:
        said.append(f"oomScoreAdj {score} -> {host['oom_score']}")
        process["oomScoreAdj"] = host["oom_score"]
    allowed = {"CAP_" + name for number, name in enumerate(CAPABILITIES) if host["bounding"] >> number & 1}
    dropped: set[str] = set()
    for kind, names in (process.get("capabilities") or {}).items():
        dropped.update(set(names or []) - allowed)
        process["capabilities"][kind] = [name for name in names or [] if name in allowed]
    said.extend(f"capability {name} dropped" for name in sorted(dropped))
    return said


def clamp_container(config: Document, host: Document) -> list[str]:
    """Lower what a container asks for, and give it a cgroup namespace where cgroups are v1."""
    said = clamp_process(config.get("process") or {}, host)
    if not host["cgroup_v2"]:
        namespaces = config.setdefault("linux", {}).setdefault("namespaces", [])
        if not any(namespace["type"] == "cgroup" for namespace in namespaces):
            namespaces.append({"type": "cgroup"})
            said.append("cgroup namespace added")
    return said


def option(arguments: list[str], names: tuple[str, ...]) -> str | None:
    """The value of a command line option, as ``--name value`` or ``--name=value``."""
    for number, argument in enumerate(arguments):
        if argument in names and number + 1 < len(arguments):
            return arguments[number + 1]
        for name in names:
            if argument.startswith(name + "="):
                return argument.split("=", 1)[1]
    return None


def rewrite(path: Path, change: Callable[[Document, Document], list[str]], host: Document) -> None:
    """Change a JSON file in place and log what was said about it."""
    document = json.loads(path.read_text())
    said = change(document, host)
    if said:
        path.write_text(json.dumps(document))
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with LOG.open("a") as log:
            for line in said:
                log.write(f"{now} {path} {line}\n")


def main() -> None:
    """Change the container's or process's definition, then become runc."""
    arguments = sys.argv[1:]
    if "create" in arguments or "run" in arguments:
        bundle = option(arguments, ("--bundle", "-b")) or "."
        rewrite(Path(bundle) / "config.json", clamp_container, own_host())
    elif "exec" in arguments:
        process = option(arguments, ("--process", "-p"))
        if process:
            rewrite(Path(process), clamp_process, own_host())
    os.execv(RUNC, [RUNC, *arguments])  # noqa: S606 (to become runc is the point)


if __name__ == "__main__":
    main()
