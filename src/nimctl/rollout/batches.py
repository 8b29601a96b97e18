"""In which batches nodes change, so that every deployment goes on serving.

Batches follow one another: the next begins when every node of the one before is back and well.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from nimctl.errors import RejectedError
from nimctl.rollout.replicas import Replica, check_known, gaps, stopped

DISRUPTIVE = ("drain", "reboot")
"""Costs of a change that ranks do not survive."""
DEFAULT_SIZE = "25%"


@dataclass(frozen=True, slots=True)
class Change:
    """A node that has to change.

    ``unfinished``: an earlier run took it out of service and did not give it back. ``alone``: others depend
    on it (storage, gateways), so that it goes by itself, after all others.
    """

    node: str
    unfinished: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """Nodes that change at the same time, and the replicas that are stopped for it."""

    nodes: tuple[str, ...]
    stops: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollout:
    """Batches in their order; ``waiting`` says of other nodes why they cannot change without leave."""

    batches: tuple[Batch, ...] = ()
    waiting: dict[str, str] = field(default_factory=dict)


def size_of(text: str, total: int) -> int:
    """How many nodes a batch has: a number, or a part of ``total`` such as 25%. Raises RejectedError."""
    match = re.fullmatch(r"([0-9]{1,6})(%?)", text.strip())
    if match is None or int(match[1]) < 1 or (match[2] and int(match[1]) > 100):
        raise RejectedError(f"--batch {text}: expected a number of nodes, or a part of them such as 25%")
    return max(1, total * int(match[1]) // 100) if match[2] else int(match[1])


def plan(
    changes: Sequence[Change],
    replicas: Sequence[Replica],
    size: str = DEFAULT_SIZE,
    allow_gap: Collection[str] = (),
) -> Rollout:
    """Put nodes into batches; raises RejectedError for a size or a deployment that cannot be.

    The first batch is the canary: one node, or the nodes of one replica, which stops as a whole anyway.
    For the same reason nodes of one replica go together also where that is more than ``size``.
    """
    check_known(replicas, allow_gap)
    number = size_of(size, len(changes))
    order = sorted(changes, key=lambda change: (change.alone, not change.unfinished))
    allowed = frozenset(allow_gap)

    def possible(nodes: Collection[str]) -> bool:
        return not set(gaps(replicas, nodes)) - allowed

    waiting = {
        change.node: _wait(sorted(set(gaps(replicas, [change.node])) - allowed))
        for change in order
        if not possible([change.node])
    }
    left = [change for change in order if change.node not in waiting]
    batches: list[Batch] = []
    while left:
        first = left[0]
        mates = [] if first.alone else left
        nodes: list[str] = []
        for change in [first, *mates]:
            full = len(nodes) >= (number if batches else 1)
            if full or change.node in nodes or (change.alone and nodes):
                continue
            if possible([*nodes, change.node]):
                nodes.append(change.node)
                # The canary is one unit; so is every replica.
                _add_mates(nodes, [] if change.alone else left, replicas, possible)
        batches.append(Batch(tuple(nodes), tuple(replica.name for replica in stopped(replicas, nodes))))
        left = [change for change in left if change.node not in nodes]
    return Rollout(tuple(batches), waiting)


def _add_mates(
    nodes: list[str],
    left: Sequence[Change],
    replicas: Sequence[Replica],
    possible: Callable[[Collection[str]], bool],
) -> None:
    """Add the nodes of replicas that the last node stops, as far as no deployment suffers for it."""
    of_replicas = {node for replica in stopped(replicas, [nodes[-1]]) for node in replica.nodes}
    for change in left:
        if (
            change.node in of_replicas
            and change.node not in nodes
            and not change.alone
            and possible([*nodes, change.node])
        ):
            nodes.append(change.node)


def _wait(deployments: Sequence[str]) -> str:
    leave = " ".join(f"--allow-gap {name}" for name in deployments)
    return f"{' and '.join(deployments)} would have no serving replica meanwhile; allow it with {leave}"
