"""The Kubernetes cluster as the description knows it, and how ranks are written for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from nimctl.cluster import Node
from nimctl.description.document import Deployment, Kubernetes
from nimctl.placement import Placement, Rank
from nimctl.render.kubernetes.facts import facts
from nimctl.render.symbols import mark
from nimctl.resolve.spelling import Spelling

RdmaMode = Literal["shared-device", "sriov", "host-network", "none"]

POD_INTERFACE = "eth0"
"""What pod networks call a pod's first interface."""


@dataclass(frozen=True, slots=True)
class Site:
    """Settings of the Kubernetes cluster, with their defaults filled in."""

    namespace: str
    settings: Kubernetes
    nodes: Mapping[str, Node]

    @classmethod
    def of(cls, placement: Placement) -> Site:
        """The site of a placement."""
        cluster = placement.cluster
        settings = cluster.kubernetes or Kubernetes()
        return cls(settings.namespace or cluster.name, settings, {node.name: node for node in cluster.nodes})

    def rdma_mode(self, rank: Rank) -> RdmaMode:
        """How the pod of a rank reaches HCAs."""
        return mode(self.settings, self.nodes[rank.node]) if rank.rdma else "none"

    def rdma_resource(self, chosen: RdmaMode) -> dict[str, str]:
        """What a pod asks for to get HCAs, and how many."""
        if chosen == "none":
            return {}
        name = self.settings.rdma.resource or facts().rdma_resources[chosen]
        return {name: str(self.settings.rdma.count)}


def mode(settings: Kubernetes, node: Node) -> RdmaMode:
    """How pods on a node reach HCAs.

    On InfiniBand the shared device is enough: HCAs find each other by LID. RoCE needs an address of the
    HCA's own interface in the pod, and the node's network is what always has one.
    """
    if settings.rdma.mode is not None:
        return settings.rdma.mode
    kind = node.fabric.kind if node.fabric is not None else "ethernet"
    defaults: Mapping[str, RdmaMode] = {"infiniband": "shared-device", "roce": "host-network"}
    return defaults.get(kind, "none")


def spelling(settings: Kubernetes) -> Spelling:
    """How ranks are written: numbers, addresses and size come from LeaderWorkerSet."""

    def spell(deployment: Deployment, node: Node, fields: Mapping[str, str]) -> Mapping[str, str]:
        chosen = mode(settings, node)
        written = {
            "rank": mark("rank"),
            "nodes": mark("nodes"),
            "leader": mark("leader_address"),
            "leader_address": mark("leader_address"),
            "leader_host": mark("leader_address"),
            "address": mark("address"),
        }
        if chosen != "host-network":
            # The pod network decides about IPv6, not the nodes' addresses.
            written["ipv6"] = ""
            if fields["interface"]:
                written["interface"] = POD_INTERFACE
        if chosen in ("sriov", "none"):
            # Virtual functions have names of their own; without RDMA there is nothing to name.
            written["hcas"] = ""
        return written

    return spell
