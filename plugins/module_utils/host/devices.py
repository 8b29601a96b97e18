"""Device nodes that containers are given: of GPUs, RDMA, and what comes with them."""

from __future__ import annotations

import os
import stat
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

FOLDERS = ("/dev", "/dev/nvidia-caps", "/dev/nvidia-caps-imex-channels", "/dev/infiniband", "/dev/dri")
PREFIXES = ("nvidia", "gdrdrv")
"""Of the nodes directly in /dev."""


def read(tree: Tree) -> list[dict[str, Any]]:
    """Every such node with its numbers, sorted by path."""
    if tree.recorded:
        return [_listed(line) for line in tree.lines("/listings/nodes")]
    found = []
    for folder in FOLDERS:
        for name in tree.names(folder):
            if folder == "/dev" and not name.startswith(PREFIXES):
                continue
            status = os.lstat(tree.at(f"{folder}/{name}"))
            if stat.S_ISCHR(status.st_mode):
                found.append(_node(f"{folder}/{name}", status.st_rdev))
    return sorted(found, key=lambda node: node["path"])


def _node(path: str, device: int) -> dict[str, Any]:
    return {"path": path, "major": os.major(device), "minor": os.minor(device)}


def _listed(line: str) -> dict[str, Any]:
    path, major, minor = line.split()
    return {"path": path, "major": int(major), "minor": int(minor)}
