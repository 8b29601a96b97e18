"""What a verb is about: the placement of one inventory folder, and the questions verbs ask of it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException

from nimctl.cluster import Node
from nimctl.errors import RejectedError
from nimctl.inventory import read
from nimctl.placement import Placement, Rank
from nimctl.suggest import command

LEADER_API = "api"
"""The name under which a rank's ports list the port of the OpenAI API."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One replica as its users see it: rank 0, and the URL below which /v1/... answers."""

    deployment: str
    replica: int
    node: str
    url: str
    model: str
    health: str

    def curl(self, text: str = "Hello") -> str:
        """A command that asks this endpoint for a completion."""
        body = json.dumps(
            {"model": self.model, "messages": [{"role": "user", "content": text}], "max_tokens": 16}
        )
        header = "-H 'Content-Type: application/json'"
        return f"curl {self.url}/v1/chat/completions {header} -d {_single_quoted(body)}"


@dataclass(frozen=True, slots=True)
class Target:
    """An inventory folder and its placement."""

    folder: Path
    placement: Placement

    @property
    def cluster(self) -> str:
        """The name of the cluster."""
        return self.placement.cluster.name

    def command(self, verb: str, *words: str) -> str:
        """A command about this folder, to suggest in a message."""
        return command(self.folder, verb, *words)

    @property
    def nodes(self) -> dict[str, Node]:
        """Every node of the description by name, absent ones included."""
        return {node.name: node for node in self.placement.cluster.nodes}

    def ranks(self, deployment: str | None = None, rank: str | None = None) -> list[Rank]:
        """The ranks of a deployment, or the one that is named; the leader of each replica first.

        Raises:
            RejectedError: there is no such deployment or rank; names the likely one.
        """
        order = [item.name for item in self.placement.cluster.deployments]
        found = sorted(
            self.placement.ranks, key=lambda item: (order.index(item.deployment), item.replica, item.rank)
        )
        if deployment is not None:
            self._known("deployment", deployment, order)
            found = [item for item in found if item.deployment == deployment]
        if rank is not None:
            self._known("rank", rank, [item.name for item in found])
            found = [item for item in found if item.name == rank]
        return found

    def endpoints(self, deployment: str | None = None) -> list[Endpoint]:
        """Where each replica serves, as the description orders deployments."""
        served = {item.name: item.served_name or item.model for item in self.placement.cluster.deployments}
        return [
            Endpoint(
                deployment=rank.deployment,
                replica=rank.replica,
                node=rank.node,
                url=f"http://{host(self.nodes[rank.node].address)}:{rank.ports[LEADER_API]}",
                model=served[rank.deployment],
                health=rank.health.path if rank.health else "/v1/health/ready",
            )
            for rank in self.ranks(deployment)
            if rank.rank == 0
        ]

    def limited(self, limit: str | None) -> list[str] | None:
        """The nodes that a --limit means where it is a plain node set; None where only Ansible can tell."""
        if not limit:
            return None
        try:
            names = list(NodeSet(limit, resolver=RESOLVER_NOGROUP))
        except NodeSetException:
            return None
        return names if set(names) <= self.nodes.keys() else None

    @staticmethod
    def _known(what: str, name: str, names: Sequence[str]) -> None:
        if name in names:
            return
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names) or 'none'}"
        raise RejectedError(f"There is no {what} {name} in this cluster; {hint}")


def load(folder: Path) -> Target:
    """Read and check an inventory folder.

    Raises:
        RejectedError: there is no description, or it was rejected; nothing was contacted.
    """
    return Target(folder, read(folder))


def host(address: str) -> str:
    """An address as it stands in a URL: IPv6 in brackets."""
    return f"[{address}]" if ":" in address else address


def _single_quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
