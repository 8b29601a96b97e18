"""Storage that is each node's own: a folder of its disk, or a file system that somebody else mounts.

What somebody else mounts is never changed, in whatever mode; it has to be there and to answer.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from nimctl.description.document import Storage
from nimctl.stack.host import Host, Mount
from nimctl.stack.plan import LayerPlan, Question, RefusedError

LAYER = "storage_local"
SCARCE_MIB = 1024
OWNER = 1000
"""As whom the engines' containers run."""


def plan(question: Question) -> LayerPlan:
    """The folders to make, after all that should be mounted was found. Raises RefusedError."""
    entries = [entry for entry in question.settings if entry.mode != "ignore"]
    if not entries:
        return LayerPlan(LAYER, {"steps": "ignore"})
    wrong = [
        reason for entry in entries if entry.kind == "existing" for reason in check(entry, question.host)
    ]
    if wrong:
        raise RefusedError("; ".join(wrong))
    folders = [
        {"path": entry.mount, "mode": "0755", "uid": OWNER}
        for entry in entries
        if entry.kind == "local" and entry.mode == "managed"
    ]
    values: dict[str, Any] = {"steps": "managed" if folders else "verify", "folders": folders}
    host = question.host
    will = tuple(
        f"make the folder {entry.mount}"
        for entry in entries
        if entry.kind == "local" and host.folders is not None and entry.mount not in host.folders
    )
    return LayerPlan(LAYER, values, will, notes=(*_on_root_disk(entries, host), *_full(entries, host)))


def check(entry: Storage, host: Host) -> list[str]:
    """What is wrong with a file system that somebody else mounts."""
    # An automount point that waits is no mount: nobody knows yet whether what it waits for answers.
    here = [mount for mount in host.mounts if mount.target == entry.mount and mount.type != "autofs"]
    if not here:
        return [
            f"storage {entry.mount}: found no file system mounted there, expected one (kind: existing). "
            f"Mount it (ls {entry.mount}/ mounts what an automount point waits for), or describe it as a "
            "kind that is managed"
        ]
    mount = here[-1]
    if mount.answers is False:
        return [
            f"storage {entry.mount}: found {mount.source} ({mount.type}) mounted there, "
            "but it does not answer. Is its server up?"
        ]
    missing = [option for option in entry.options if option not in mount.options]
    if missing:
        return [
            f"storage {entry.mount}: found it mounted without {', '.join(missing)}, expected these options"
        ]
    return []


def _on_root_disk(entries: list[Storage], host: Host) -> tuple[str, ...]:
    return tuple(
        f"{entry.mount} lies on the root file system, with all that is written there; "
        "a disk of its own is better."
        for entry in entries
        if entry.kind == "local" and _above(entry.mount, host) == "/"
    )


def _full(entries: list[Storage], host: Host) -> tuple[str, ...]:
    """A storage without room serves what lies there, and takes nothing new."""
    known = host.folders or {}
    return tuple(
        f"{entry.mount} has {known[entry.mount].free_mib} MiB left: no model can be brought there."
        for entry in entries
        if entry.mount in known and known[entry.mount].free_mib < SCARCE_MIB and "ro" not in entry.options
    )


def _above(path: str, host: Host) -> str:
    """The mount point that a path lies on; empty where the probe found none."""
    over: list[Mount] = [
        mount for mount in host.mounts if PurePosixPath(path).is_relative_to(PurePosixPath(mount.target))
    ]
    return max((mount.target for mount in over), key=len, default="")
