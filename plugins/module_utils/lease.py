"""Who may change a cluster right now: decided from what a lease file says, without a look at any machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Lease = Mapping[str, Any]
"""``owner`` (user@host), ``machine``, ``boot``, ``pid``, ``started`` (of that process) and ``run``;
``since`` and ``expires`` in Unix time."""


def holder(present: Lease | None, run: str, now: float, breaking: str) -> Lease | None:
    """The lease that stands in the way of this run, if one does.

    Its own lease does not, nor one that has expired, nor the one whose run it was told to break.
    """
    if not present or present["run"] == run or present["expires"] <= now:
        return None
    return None if breaking and breaking == present["run"] else present


def age(seconds: float) -> str:
    """A length of time for people: ``40 s``, ``12 min``, ``3 h 5 min``."""
    whole = max(0, int(seconds))
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def refusal(cluster: str, present: Lease, now: float) -> str:
    """What somebody is told who comes second."""
    return (
        f"The cluster {cluster} is being changed by {present['owner']} since {age(now - present['since'])} "
        f"(run {present['run']}, process {present['pid']}). Wait for it, or talk to its owner. If that "
        "run is dead: "
        f"run again with -e nimctl_break_lease={present['run']}. By itself its lease ends in "
        f"{age(present['expires'] - now)}."
    )
