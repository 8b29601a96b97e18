"""The ranks of a placement, by deployment and replica, and which replicas one template can describe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from nimctl.description.document import Deployment
from nimctl.placement import Placement, Rank

Template = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Set:
    """Replicas of a deployment that are alike; ``replicas`` has the ranks of each, rank 0 first."""

    name: str
    deployment: Deployment
    replicas: tuple[tuple[Rank, ...], ...]

    @property
    def leader(self) -> Rank:
        """Rank 0 of the first replica; the others have the same."""
        return self.replicas[0][0]

    @property
    def worker(self) -> Rank | None:
        """Rank 1 of the first replica; the other workers have the same. None on one node."""
        return self.replicas[0][1] if self.size > 1 else None

    @property
    def size(self) -> int:
        """Ranks in each replica."""
        return len(self.replicas[0])


def by_replica(placement: Placement) -> list[tuple[Deployment, list[tuple[Rank, ...]]]]:
    """The replicas of every deployment that has ranks, in the order of the description."""
    found: dict[str, list[tuple[Rank, ...]]] = {}
    for (name, _), ranks in groupby(placement.ranks, lambda rank: (rank.deployment, rank.replica)):
        found.setdefault(name, []).append(tuple(ranks))
    return [
        (deployment, found[deployment.name])
        for deployment in placement.cluster.deployments
        if deployment.name in found
    ]


def sets(placement: Placement) -> list[Set]:
    """Replicas that are alike, together; a deployment is one set, as a rule, and then has its name."""
    result = []
    for deployment, replicas in by_replica(placement):
        alike: dict[Template, list[tuple[Rank, ...]]] = {}
        for ranks in replicas:
            alike.setdefault(tuple(template(rank) for rank in ranks), []).append(ranks)
        for members in alike.values():
            number = members[0][0].replica
            name = deployment.name if len(alike) == 1 else f"{deployment.name}-{number}"
            result.append(Set(name, deployment, tuple(members)))
    return result


def template(rank: Rank) -> Template:
    """What of a rank a template says: all but where it runs."""
    return (
        rank.nodes,
        rank.image,
        len(rank.gpus),
        tuple(sorted(rank.environment.items())),
        rank.entrypoint,
        rank.command,
        rank.secrets,
        rank.mounts,
        rank.shm,
        rank.rdma,
        rank.api_port,
        rank.health,
        rank.stop_timeout,
    )


def difference(one: Rank, other: Rank) -> str:
    """In which words two ranks differ, for a message."""
    names = sorted(
        name
        for name in {*one.environment, *other.environment}
        if one.environment.get(name) != other.environment.get(name)
    )
    if names:
        return ", ".join(names)
    facts: Mapping[str, Sequence[object]] = {
        "number of GPUs": (len(one.gpus), len(other.gpus)),
        "command": (one.command, other.command),
        "RDMA": (one.rdma, other.rdma),
        "mounts": (one.mounts, other.mounts),
    }
    return ", ".join(name for name, (a, b) in facts.items() if a != b) or "what they are started with"
