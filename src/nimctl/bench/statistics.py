"""Percentiles of measured times."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Distribution:
    """How one kind of time is spread; all in milliseconds, ``count`` is how many there are."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    low: float
    high: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which that share (0 to 1) of the sorted values lies, interpolated between two."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def distribution(seconds: Iterable[float]) -> Distribution | None:
    """The spread of times that are given in seconds; None where there are none."""
    ordered = sorted(seconds)
    if not ordered:
        return None
    p50, p90, p99 = (milliseconds(percentile(ordered, share)) for share in (0.5, 0.9, 0.99))
    return Distribution(
        count=len(ordered),
        mean=milliseconds(math.fsum(ordered) / len(ordered)),
        p50=p50,
        p90=p90,
        p99=p99,
        low=milliseconds(ordered[0]),
        high=milliseconds(ordered[-1]),
    )


def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, to the microsecond: more digits would be noise."""
    return round(seconds * 1000, 3)
