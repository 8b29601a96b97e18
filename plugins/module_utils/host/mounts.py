"""Mounted file systems, and whether they answer."""

from __future__ import annotations

import os
import re
import time
from typing import Any, Callable

from ansible_collections.nimctl.multinode.plugins.module_utils.host.apart import ask_apart
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

TABLE = "/proc/self/mountinfo"
PATIENCE = 5.0
"""Seconds that all mounts together have to answer."""

# File systems of the kernel itself, of containers and of packages: nobody keeps a model there.
PSEUDO = frozenset(
    (
        *("bdev", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cpuset", "debugfs"),
        *("devpts", "devtmpfs", "efivarfs", "fusectl", "mqueue", "nfsd", "nsfs", "proc", "pstore", "ramfs"),
        *("resctrl", "rpc_pipefs", "securityfs", "selinuxfs", "sysfs", "tmpfs", "tracefs"),
        *("autofs", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "overlay", "squashfs"),
    )
)
KEPT = frozenset({"/", "/dev/shm", "/tmp"})  # noqa: S108 - nothing is written there
"""Targets that are reported whatever their type."""

# In memory or of the kernel; and an automount point, which asking would mount.
NEVER_ASKED = PSEUDO | {"hugetlbfs"}


def read(tree: Tree) -> list[dict[str, Any]]:
    """Every mount that may hold somebody's data, in the order of the mount table."""
    found = [mount for mount in map(reported, tree.text(TABLE).splitlines()) if mount]
    asked = _to_ask(found) if _is_ours(tree) else {}
    _ask(tree, asked)
    for mount in found:
        del mount["device"]
    return found


def reported(line: str) -> dict[str, Any] | None:
    """The mount of a line of the mount table, None for those that nobody has to know of."""
    mount = _mount(line)
    return mount if mount and (mount["type"] not in PSEUDO or mount["target"] in KEPT) else None


def _mount(line: str) -> dict[str, Any] | None:
    """One line of mountinfo: see proc_pid_mountinfo(5)."""
    before, separator, after = line.partition(" - ")
    first, last = before.split(" "), after.split(" ")
    if not separator or len(first) < 6 or len(last) < 3:
        return None
    # Those of the mount and those of the file system: NFS has its options in the second.
    options = dict.fromkeys([*first[5].split(","), *last[2].split(",")])
    return {
        "source": _unescaped(last[1]),
        "target": _unescaped(first[4]),
        "type": last[0],
        "options": list(options),
        "answers": None,
        "device": first[2],
    }


def _unescaped(text: str) -> str:
    """Blanks and the like are octal in mount tables."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _is_ours(tree: Tree) -> bool:
    """Whether the table is of the running kernel; a recorded host may link to it."""
    return os.path.realpath(tree.at(TABLE)).startswith("/proc/")


def _to_ask(found: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Targets to ask with the mounts that each answers for: bind mounts of one file system are asked once."""
    visible = {mount["target"]: mount for mount in found}
    by_device: dict[str, list[dict[str, Any]]] = {}
    for mount in visible.values():
        if mount["type"] not in NEVER_ASKED:
            by_device.setdefault(mount["device"], []).append(mount)
    return {mounts[0]["target"]: mounts for mounts in by_device.values()}


def _question(target: str) -> Callable[[], Any]:
    def ask() -> dict[str, Any]:
        # Reads only: a process inside fsync of a dead server cannot be ended by anything.
        try:
            os.statvfs(target)
            os.stat(target)
        except PermissionError:
            return {"answers": None}
        except OSError as error:
            return {"answers": False, "reason": os.strerror(error.errno or 0)}
        return {"answers": True}

    return ask


def _ask(tree: Tree, asked: dict[str, list[dict[str, Any]]]) -> None:
    start = time.monotonic()
    answers, late = ask_apart({target: _question(target) for target in asked}, PATIENCE)
    waited = round(time.monotonic() - start)
    for target, mounts in asked.items():
        answer = answers.get(target, {"answers": False})
        for mount in mounts:
            mount["answers"] = answer.get("answers", False)
            what = f"{mount['target']} ({mount['source']}, {mount['type']})"
            if target in late:
                tree.problem(f"{what} does not answer since {waited} s")
            elif answer.get("answers") is False:
                tree.problem(f"{what} answers with an error: {answer.get('reason', answer.get('error', ''))}")
