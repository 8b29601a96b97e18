"""What a node's fabric is, where the description leaves it open and a run has found it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from nimctl.cluster import Cluster, Node
from nimctl.lock import Attachment

RDMA = ("infiniband", "roce")


def attached(cluster: Cluster, found: Mapping[str, Attachment]) -> Cluster:
    """The cluster with HCAs and interfaces of the lock; what the description names wins."""
    if not found:
        return cluster
    return replace(cluster, nodes=tuple(_attached(node, found.get(node.name)) for node in cluster.nodes))


def _attached(node: Node, found: Attachment | None) -> Node:
    fabric = node.fabric
    if found is None or fabric is None:
        return node
    known = still_open(node, found)
    interface = fabric.interface or known.interface or None
    return replace(node, fabric=replace(fabric, hcas=fabric.hcas or known.hcas, interface=interface))


def still_open(node: Node, found: Attachment) -> Attachment:
    """What of a finding is still for the lock to say: the description may have come to say it."""
    fabric = node.fabric
    if node.absent or fabric is None:
        return Attachment()
    hcas = () if fabric.hcas or fabric.kind not in RDMA else found.hcas
    return Attachment(hcas, "" if fabric.interface else found.interface)


def kept(cluster: Cluster, found: Mapping[str, Attachment]) -> dict[str, Attachment]:
    """The findings of a lock that still belong to the description, from before it was completed by them."""
    nodes = {node.name: node for node in cluster.nodes}
    left = {name: still_open(nodes[name], each) for name, each in found.items() if name in nodes}
    return {name: each for name, each in left.items() if each}


def completed(before: Mapping[str, Attachment], found: Mapping[str, Attachment]) -> dict[str, Attachment]:
    """A lock's findings with new ones; what stands there stays."""
    after = dict(before)
    for name, each in found.items():
        was = before.get(name, Attachment())
        now = Attachment(was.hcas or each.hcas, was.interface or each.interface)
        if now:
            after[name] = now
    return after
