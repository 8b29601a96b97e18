"""Which replicas serve, and which deployments would be left without one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nimctl.description.words import nearest
from nimctl.errors import RejectedError
from nimctl.run.names import fold


class GapError(RejectedError):
    """Deployments would be left without a serving replica; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica: the nodes of its ranks, and whether it serves (as described: whether it shall)."""

    deployment: str
    index: int
    nodes: tuple[str, ...]
    serving: bool = True

    @property
    def name(self) -> str:
        """``r1-0``."""
        return f"{self.deployment}-{self.index}"


def replicas_of(
    ranks: Mapping[str, Sequence[Mapping[str, Any]]],
    seen: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
) -> list[Replica]:
    """The replicas of an inventory.

    ``ranks`` is ``nim_ranks`` of every node, ``seen`` what the module ``rank_facts`` found on those that
    answered. A replica serves when all its ranks run and its leader's health check passes; with ``seen``
    None, every replica counts as serving.
    """
    nodes: dict[tuple[str, int], list[str]] = defaultdict(list)
    wrong: set[tuple[str, int]] = set()
    for node, listed in ranks.items():
        found = {item["name"]: item for item in (seen or {}).get(node, ())}
        for rank in listed:
            key = (str(rank["deployment"]), int(rank["replica"]))
            nodes[key].append(node)
            if seen is not None and not _well(rank, found.get(rank["name"])):
                wrong.add(key)
    return [Replica(*key, tuple(members), key not in wrong) for key, members in sorted(nodes.items())]


def _well(rank: Mapping[str, Any], found: Mapping[str, Any] | None) -> bool:
    unit = (found or {}).get("unit") or {}
    if not found or unit.get("state") != "active":
        return False
    return bool((found.get("health") or {}).get("ok")) if rank.get("health") else True


def stopped(replicas: Iterable[Replica], down: Collection[str]) -> list[Replica]:
    """The replicas that have a rank on one of these nodes: they stop as a whole."""
    return [replica for replica in replicas if not set(down).isdisjoint(replica.nodes)]


def gaps(replicas: Iterable[Replica], down: Collection[str]) -> list[str]:
    """Deployments that serve, and would not with these nodes down."""
    serving: dict[str, bool] = {}
    for replica in replicas:
        if replica.serving:
            left = set(down).isdisjoint(replica.nodes)
            serving[replica.deployment] = serving.get(replica.deployment, False) or left
    return sorted(name for name, left in serving.items() if not left)


def check_gaps(replicas: Collection[Replica], down: Collection[str], allowed: Collection[str]) -> None:
    """Raise GapError where a deployment would be left without a serving replica and may not be."""
    check_known(replicas, allowed)
    names = [name for name in gaps(replicas, down) if name not in allowed]
    if not names:
        return
    them = f"deployment {names[0]}" if len(names) == 1 else f"deployments {', '.join(names)}"
    leave = " ".join(f"--allow-gap {name}" for name in names)
    raise GapError(
        f"Draining {fold(down)} would leave the {them} without a serving replica. Nothing was changed. "
        f"If that may be: {leave} (plain Ansible: -e nimctl_allow_gap={','.join(names)})"
    )


def check_known(replicas: Iterable[Replica], allowed: Iterable[str]) -> None:
    """Raise RejectedError where an allowed gap names no deployment."""
    known = sorted({replica.deployment for replica in replicas})
    for name in allowed:
        if name not in known:
            raise RejectedError(
                f"--allow-gap {name}: there is no such deployment{nearest(name, known)}; nothing was changed"
            )
