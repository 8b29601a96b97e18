"""Axes of a chart: from values to places, and where the marks stand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SPREAD = 25.0
"""Values that differ by more than this factor are easier to read on a logarithmic axis."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps ``low`` to ``high`` onto ``start`` to ``end`` (pixels); values beyond are drawn at the edge."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def at(self, value: float) -> float:
        """Where a value stands, in pixels to a tenth."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def wide(values: Iterable[float]) -> bool:
    """Whether positive values spread so far that the axis should be logarithmic."""
    known = [value for value in values if value > 0]
    return bool(known) and max(known) / min(known) > SPREAD


def linear_ticks(high: float, most: int) -> list[float]:
    """Round numbers from 0 to at least ``high``, in at most ``most`` steps."""
    if high <= 0:
        return [0.0, 1.0]
    rough = high / most
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * unit for factor in (1, 2, 2.5, 5, 10) if factor * unit >= rough * 0.999)
    count = math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(count + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Numbers such as 1, 2, 5, 10 that enclose ``low`` and ``high``, about ``most`` of them at most."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 5), (1, 3)):
        every = [factor * 10.0**exponent for exponent in range(first, last + 1) for factor in factors]
        start = max(tick for tick in every if tick <= low * 1.0001)
        stop = min(tick for tick in every if tick >= high * 0.9999)
        ticks = [tick for tick in every if start <= tick <= stop]
        if len(ticks) <= most:
            return ticks if len(ticks) > 1 else [ticks[0], ticks[0] * 10]
    stride = math.ceil((last - first) / (most - 1))
    return [10.0**exponent for exponent in range(first, last + stride, stride)]


def thinned(values: Sequence[float], most: int) -> list[float]:
    """At most so many of the values, evenly, the last one among them."""
    step = max(1, math.ceil(len(values) / most))
    return list(values[::-1][::step][::-1])
