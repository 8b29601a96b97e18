"""Which clusters have firewall rules on this node, and from what they were made."""

from __future__ import annotations

import re

from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

FOLDER = "/etc/nimctl/firewall"
MARK = "# made from "


def read(tree: Tree) -> dict[str, str]:
    """Cluster to the mark in the first line of its rules; empty where they have none."""
    found = {}
    for name in tree.names(FOLDER, re.compile(r".+\.nft")):
        first = tree.text(f"{FOLDER}/{name}").partition("\n")[0]
        found[name[: -len(".nft")]] = first[len(MARK) :] if first.startswith(MARK) else ""
    return found
