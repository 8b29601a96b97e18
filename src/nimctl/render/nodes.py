"""What the targets for one node at a time have in common."""

from __future__ import annotations

from nimctl.errors import RejectedError
from nimctl.placement import Placement, Rank

SECRETS = "/etc/nimctl/secrets"
"""Where the role nim_rank keeps the 0600 files with secrets, by cluster."""


def by_node(placement: Placement) -> dict[str, list[Rank]]:
    """The ranks of every node that has any, in the order of the description."""
    found: dict[str, list[Rank]] = {node.name: [] for node in placement.cluster.nodes}
    for rank in placement.ranks:
        found[rank.node].append(rank)
    if not placement.ranks:
        raise RejectedError(f"cluster {placement.cluster.name} has no deployment that runs anywhere")
    return {node: ranks for node, ranks in found.items() if ranks}


def container(rank: Rank) -> str:
    """The name of a rank's container, the same as under Ansible: the two never run a rank twice."""
    return f"nim-{rank.name}"


def secret_files(placement: Placement, rank: Rank) -> list[str]:
    """The 0600 files that a rank's secrets come from, one line ``NAME=value`` in each."""
    return [f"{SECRETS}/{placement.cluster.name}/{name}.env" for name in rank.secrets]


def title(rank: Rank) -> str:
    """A rank in words."""
    whole = f"rank {rank.rank} of {rank.nodes}" if rank.nodes > 1 else "the only rank"
    return f"{rank.name}: {whole} of {rank.deployment}, replica {rank.replica}"


def log_options(placement: Placement) -> dict[str, str]:
    """How far a container's log may grow."""
    engine = placement.cluster.stack.container_engine
    return {"max-size": engine.log_max_size, "max-file": str(engine.log_max_files)}
