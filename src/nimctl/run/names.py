"""Names of nodes as people write them."""

from __future__ import annotations

from collections.abc import Iterable

from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet


def fold(nodes: Iterable[str]) -> str:
    """Write nodes as a node set: ``gpu[01-16],store01``."""
    return str(NodeSet.fromlist(list(nodes), resolver=RESOLVER_NOGROUP))
