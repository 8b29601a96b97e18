"""What a run would change, per node, and what that costs; read from a run in check mode."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nimctl.run.events import Event
from nimctl.stack.plan import COSTS, Cost

RANKS_MODULE = "nimctl.multinode.ranks"
STATE_MODULE = "nimctl.multinode.rank_state"
STOPPED = "it does not run"
"""What the module says of a rank that has to be started, not restarted."""

PLAN_MODULE = "nimctl.multinode.stack_plan"
Action = Literal["start", "restart", "remove"]


@dataclass(frozen=True, slots=True)
class Change:
    """One task that would change a node; ``what`` names files, units or packages, ``diff`` is its text."""

    stage: str
    task: str
    what: tuple[str, ...]
    diff: str


@dataclass(frozen=True, slots=True)
class RankChange:
    """What would happen to one rank, and why."""

    name: str
    replica: str
    action: Action
    reason: str


@dataclass(frozen=True, slots=True)
class LayerChange:
    """What would happen to one layer of the host stack: in sentences, what that costs, what waits."""

    layer: str
    cost: Cost
    will: tuple[str, ...]
    pending: tuple[str, ...]


@dataclass
class NodeDifference:
    """Everything that would change on one node."""

    node: str
    changes: list[Change] = field(default_factory=list)
    ranks: list[RankChange] = field(default_factory=list)
    layers: list[LayerChange] = field(default_factory=list)

    @property
    def cost(self) -> Cost:
        """What the change costs those who use the node, the highest of its parts.

        Nothing, ranks that stop serving for a while, a node without ranks for a while, or a reboot.
        """
        restarts: Cost = "restart" if any(rank.action != "start" for rank in self.ranks) else "none"
        return max((restarts, *(layer.cost for layer in self.layers)), key=COSTS.index)

    @property
    def differs(self) -> bool:
        """Whether anything would change."""
        return bool(self.changes or self.ranks or self.layers)


class Collector:
    """Collects the difference from the events of a check run."""

    def __init__(self, nodes: Iterable[str]) -> None:
        self._nodes = {name: NodeDifference(name) for name in nodes}
        self._reported: dict[str, dict[str, Mapping[str, str]]] = {}
        self._moved: dict[str, set[str]] = {}

    def listen(self, event: Event) -> None:
        """Take in one event."""
        node = self._nodes.get(event.host)
        if event.kind != "ok" or node is None:
            return
        if event.action == RANKS_MODULE:
            self._reported[event.host] = event.result.get("ranks") or {}
            for name in event.result.get("removed") or []:
                reason = "it is not in the description"
                node.ranks.append(RankChange(name, name.rpartition("-")[0], "remove", reason))
        if event.action == PLAN_MODULE and "plans" in event.result:
            # The plan of all layers comes before any change; those that roles make later say the same.
            node.layers = node.layers or layer_changes(event.result["plans"])
        if event.action == STATE_MODULE:
            # Said rank by rank, with the reason, instead of as a task that changes something.
            self._moved.setdefault(event.host, set()).update(event.result.get("names") or [])
        elif event.changed:
            node.changes.append(Change(event.play, event.task, what(event.result), diff_text(event.result)))

    def differences(self) -> list[NodeDifference]:
        """The difference of every node, in the order of the description.

        One rank that restarts alone does not find its group again, so that a reason at one rank of a replica
        restarts all of them.
        """
        causes: dict[str, str] = {}
        for ranks in self._reported.values():
            for name, rank in sorted(ranks.items()):
                if rank["reason"]:
                    causes.setdefault(rank["replica"], f"{name}: {rank['reason']}")
        for host, names in self._moved.items():
            for name in sorted(names):
                rank = self._reported.get(host, {}).get(name, {})
                own, replica = rank.get("reason", ""), rank.get("replica", name.rpartition("-")[0])
                action: Action = "start" if own == STOPPED else "restart"
                reason = own or causes.get(replica, "its replica restarts")
                self._nodes[host].ranks.append(RankChange(name, replica, action, reason))
        self._moved = {}
        return list(self._nodes.values())


def layer_changes(plans: Mapping[str, Mapping[str, Any]]) -> list[LayerChange]:
    """The layers that would change or that wait for something, from a result of ``stack_plan``."""
    return [
        LayerChange(layer, plan["cost"], tuple(plan["will"]), tuple(plan["pending"]))
        for layer, plan in plans.items()
        if plan["will"] or plan["pending"]
    ]


def what(result: Mapping[str, Any]) -> tuple[str, ...]:
    """The things that a result says it would change."""
    found: list[str] = []
    for key in ("paths", "images", "did", "keys", "names", "dest", "path", "name"):
        value = result.get(key)
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, list):
            found += [str(item) for item in value]
        if found:
            break
    return tuple(found)


def diff_text(result: Mapping[str, Any]) -> str:
    """The difference that a result carries, as the text of a unified diff."""
    diffs = result.get("diff") or []
    parts = []
    for diff in diffs if isinstance(diffs, list) else [diffs]:
        if diff.get("prepared"):
            parts.append(str(diff["prepared"]).rstrip())
            continue
        before, after = str(diff.get("before") or ""), str(diff.get("after") or "")
        parts += [
            line.rstrip("\n")
            for line in difflib.unified_diff(
                before.splitlines(),
                after.splitlines(),
                str(diff.get("before_header") or "before"),
                str(diff.get("after_header") or "after"),
                lineterm="",
            )
        ]
    return "\n".join(parts)
