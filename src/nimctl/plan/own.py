"""Rows of the user's own: what ``--calibrate FILE`` does with them.

Of each combination of GPU, model and engine the median of log(measured / predicted) is a correction, drawn
towards 0 as if one further row had agreed with the prediction. Cases of that combination are then
``measured``, as long as their split is one that was measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log
from pathlib import Path
from statistics import median

from nimctl.plan import case as cases
from nimctl.plan import measured, speed
from nimctl.plan.calibration import Calibration
from nimctl.plan.catalogue import Catalogue
from nimctl.plan.work import Split

_SPREAD = 0.03
"""Of measurements that are repeated: no interval is narrower."""


@dataclass(frozen=True, slots=True)
class Correction:
    """For one combination: logarithms to add, half-widths of the intervals, and the splits measured."""

    tpot: float
    ttft: float
    tpot_width: float
    ttft_width: float
    rows: int
    splits: frozenset[tuple[int, int]]


@dataclass(frozen=True)
class Corrections:
    """By GPU, model and engine."""

    file: str = ""
    found: Mapping[tuple[str, str, str], Correction] = field(default_factory=dict)

    def of(self, gpu: str, model: str, backend: str, split: Split) -> Correction | None:
        """The correction for a case, None where its combination or its split was not measured."""
        one = self.found.get((gpu, model, backend))
        return one if one and (split.tensor, split.pipeline) in one.splits else None


def corrections(
    file: Path, catalogue: Catalogue, calibration: Calibration, folder: Path | None
) -> Corrections:
    """The corrections from a file of measured rows. Raises RejectedError."""
    by_group: dict[tuple[str, str, str], list[tuple[float, float, tuple[int, int]]]] = defaultdict(list)
    for row in measured.read(file):
        one = cases.of_row(row, catalogue, folder)
        token, first = speed.together(one.facts, calibration.factors(one.levels))
        groups = one.levels.groups
        by_group[groups["s"], groups["m"], groups["b"]].append(
            (log(row.tpot_ms / 1e3 / token), log(row.ttft_ms / 1e3 / first), (row.tensor, row.pipeline))
        )
    return Corrections(str(file), {group: _correction(residuals) for group, residuals in by_group.items()})


def _correction(residuals: list[tuple[float, float, tuple[int, int]]]) -> Correction:
    splits = frozenset(split for _, _, split in residuals)
    tpot, tpot_width = _center([token for token, _, _ in residuals])
    ttft, ttft_width = _center([first for _, first, _ in residuals])
    return Correction(tpot, ttft, tpot_width, ttft_width, len(residuals), splits)


def _center(logs: list[float]) -> tuple[float, float]:
    """What to add, and how far nine of ten rows are from it; few rows say little about the next one."""
    count = len(logs)
    center = median(logs) * count / (count + 1)
    off = sorted(abs(value - center) for value in logs)
    return center, max(_SPREAD, off[min(count - 1, int(0.9 * count))]) * (1 + 1 / count)
