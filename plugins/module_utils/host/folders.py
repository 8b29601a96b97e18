"""Folders that somebody asks about: whether they are there, and how much room there is."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

MIB = 1 << 20


def read(tree: Tree, paths: list[str]) -> dict[str, Any]:
    """Those of the folders that are there and answer, by path, with what is free for ordinary users."""
    found = {}
    for path in paths:
        place = tree.at(path)
        if tree.out_of_reach(path) or not os.path.isdir(place):
            continue
        space = os.statvfs(place)
        found[path] = {"free_mib": space.f_bavail * space.f_frsize // MIB}
    return found
