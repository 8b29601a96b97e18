"""Which nodes have to leave service, from what each of them reported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from nimctl.rollout.batches import DISRUPTIVE, Change
from nimctl.stack.plan import Cost


@dataclass(frozen=True, slots=True)
class Found:
    """One node: what its change costs, why, and whether somebody has drained it (``drain`` or ``change``)."""

    node: str
    cost: Cost
    why: tuple[str, ...] = ()
    drained: str = ""
    alone: bool = False
    layers: tuple[str, ...] = ()

    @classmethod
    def read(cls, node: str, stack: Mapping[str, Any], drained: Mapping[str, Any], alone: bool) -> Found:
        """From the results of ``stack_plan`` and ``lease``."""
        plans: Mapping[str, Mapping[str, Any]] = stack.get("plans") or {}
        why = [
            str(line)
            for plan in plans.values()
            if plan.get("cost") in DISRUPTIVE
            for line in [*(plan.get("pending") or []), *(plan.get("will") or [])]
        ]
        return cls(
            node,
            stack.get("cost") or "none",
            tuple(dict.fromkeys(why)),
            str(drained.get("kind") or "") if drained else "",
            alone,
            tuple(plans),
        )


def find(nodes: Iterable[Found], reboot_ok: bool) -> tuple[list[Change], dict[str, str]]:
    """The nodes that leave service, and the others that would have to, with what they wait for.

    A node that an earlier run drained for its change is taken up again, also when nothing is left to do: it
    has to be verified and given back.
    """
    changes: list[Change] = []
    waiting: dict[str, str] = {}
    for found in nodes:
        unfinished = found.drained == "change"
        disruptive = found.cost in DISRUPTIVE
        if disruptive and not reboot_ok:
            # A drained node may change now; it is the reboot alone that waits.
            if found.cost == "reboot" or not found.drained:
                waiting[found.node] = _leave(found)
        elif disruptive or unfinished:
            changes.append(Change(found.node, unfinished, found.alone))
    return changes, waiting


def _leave(found: Found) -> str:
    what = "a reboot" if found.cost == "reboot" else "a drain"
    why = f" ({'; '.join(found.why)})" if found.why else ""
    return f"{what} is needed{why}; allow it with `reboot_ok: true` under `stack`"
