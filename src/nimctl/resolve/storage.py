"""Which storage a rank needs: the mount points above the folders that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from nimctl.cluster import Node
from nimctl.description.document import Storage


def is_mounted_on(entry: Storage, node: Node) -> bool:
    """Whether a node has this storage as a mount, and not as a folder of its own disk.

    The server of an NFS storage has it on its disk; a managed one is bound to the mount point where the
    exported folder is another.
    """
    if entry.kind == "local":
        return False
    if entry.kind == "nfs" and entry.server == node.name:
        return entry.mode == "managed" and _path(entry.export) != _path(entry.mount)
    return True


def mounts_below(storage: Sequence[Storage], node: Node, folders: Sequence[str]) -> tuple[str, ...]:
    """The mount points on a node at or above any of these folders, sorted."""
    paths = [PurePosixPath(folder) for folder in folders]
    found = {
        str(mount)
        for entry in storage
        for mount in [_path(entry.mount)]
        if is_mounted_on(entry, node) and any(path.is_relative_to(mount) for path in paths)
    }
    return tuple(sorted(found))


def _path(text: str | None) -> PurePosixPath:
    return PurePosixPath(text or "/")
