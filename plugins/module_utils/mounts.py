"""Mount points: the names of their units, and what the kernel says of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable

from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import Run

MOUNTINFO = Path("/proc/self/mountinfo")
ANSWER = 20
"""Seconds in which a file system has to answer."""


def unit_of(path: str, kind: str = "mount") -> str:
    """The unit of a path, as ``systemd-escape --path`` names it."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return f"-.{kind}"
    escaped = "-".join(
        "".join(
            chr(byte) if re.match(r"[A-Za-z0-9:_.]", chr(byte)) else f"\\x{byte:02x}"
            for byte in part.encode()
        )
        for part in parts
    )
    if escaped.startswith("."):
        escaped = "\\x2e" + escaped[1:]
    return f"{escaped}.{kind}"


@dataclass(frozen=True)
class Mounted:
    """One mounted file system; the options of the mount and of the file system together."""

    source: str
    target: str
    type: str
    options: tuple[str, ...]


def mounted(text: str) -> list[Mounted]:
    """The mounts of a mountinfo file, in the order in which they were made. Source: proc_pid_mountinfo(5)."""
    found = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if len(left) < 6 or len(right) < 3:
            continue
        options = dict.fromkeys([*left[5].split(","), *right[2].split(",")])
        found.append(Mounted(_plain(right[1]), _plain(left[4]), right[0], tuple(options)))
    return found


def at(path: str, table: Iterable[Mounted]) -> Mounted | None:
    """What is mounted at a path: the last one of those that lie over each other."""
    here = path.rstrip("/") or "/"
    return next((entry for entry in reversed(list(table)) if entry.target == here), None)


def answers(run: Run, path: str, seconds: int = ANSWER) -> bool:
    """Whether a file system answers in time; asking mounts what an automount point waits to mount.

    In a process of its own that is killed when it hangs: a look from here could never come back.
    """
    status, _, _ = run(["timeout", "--kill-after=1", str(seconds), "stat", f"{path}/."])
    return status == 0


def is_mounted(run: Run, path: str) -> bool:
    """Whether something other than an automount point is mounted at a path, and answers."""
    if not answers(run, path):
        return False
    entry = at(path, mounted(MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")))
    return entry is not None and entry.type != "autofs"


def _plain(word: str) -> str:
    """A word of mountinfo, which writes spaces and the like as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), word)
