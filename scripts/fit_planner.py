"""Fit the factors of ``nimctl plan`` to measured rows, and write src/nimctl/data/factors.json.

    .venv/bin/python scripts/fit_planner.py --rows FILE [--write] [--check row|group]

A factor's logarithm is a base plus corrections for the groups that a row belongs to, each with a normal prior
around 0 (WIDTHS): narrow groups correct little unless many rows say so. That is a Gaussian process over
the rows for each factor; the formulas are made linear around the present estimate, again and again, and
rows far off count less (Huber). TPOT and TTFT are fitted apart, each with the other as it was measured,
and are predicted together.

Needs numpy, which nimctl itself does not.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from nimctl.plan import case as cases
from nimctl.plan import measured, speed
from nimctl.plan.calibration import Calibration, Levels, load
from nimctl.plan.catalogue import Catalogue
from nimctl.plan.speed import Facts

TARGET = Path(__file__).parent.parent / "src" / "nimctl" / "data" / "factors.json"
SOURCE = "InferenceX and other published measurements (measured-serving.csv), one node, TP 1 to 8"
Array = Any


@dataclass(frozen=True)
class Target:
    """What is fitted: ``start`` of each factor, how far the base may move, and the widths of its groups."""

    start: Mapping[str, float]
    freedom: Mapping[str, float]
    widths: Mapping[str, Mapping[str, float]]
    noise: float


TPOT = Target(
    start={
        "etaw": 0.8, "mfud": 0.5, "etakv": 0.8, "t0": 5e-4, "tl": 2.5e-5, "tmoe": 3e-5, "tseq": 1e-5,
        "al": 8e-6, "ble": 0.5, "f": 1.0, "tpf": 2e-3, "skew": 0.8, "mult": 1.0,
    },
    freedom={
        "etaw": 0.15, "mfud": 0.3, "etakv": 0.3, "t0": 1, "tl": 0.7, "tmoe": 1, "tseq": 1,
        "al": 0.7, "ble": 0.7, "f": 0.4, "tpf": 0.7, "skew": 0.2, "mult": 0.001,
    },
    widths={
        "etaw": {"b": 0.05, "s": 0.05, "gp": 0.1, "gpc": 0.05},
        "mfud": {"b": 0.1, "s": 0.1, "gp": 0.1},
        "etakv": {"b": 0.1, "bc": 0.1},
        "t0": {"b": 0.2, "g": 0.2},
        "tl": {"b": 0.3, "k": 0.2, "bc": 0.15, "g": 0.2},
        "tmoe": {"b": 0.3, "k": 0.4, "bc": 0.2, "g": 0.3, "gc": 0.1, "gp": 0.2, "bgp": 0.1, "ep": 0.1},
        "tseq": {"b": 0.3},
        "al": {"b": 0.1, "s": 0.1},
        "ble": {"b": 0.1, "s": 0.1},
        "f": {"b": 0.1, "s": 0.05, "gp": 0.1, "ps": 0.05, "bc": 0.05},
        "tpf": {"b": 0.3},
        "skew": {"m": 0.03},
        "mult": {
            "m": 0.05, "bm": 0.05, "sm": 0.02, "bsm": 0.1, "bsmp": 0.07, "epm": 0.05, "bsmpt": 0.07,
            "bsmp*c": 0.07, "bsmp*i": 0.05, "bsmp*o": 0.05, "bsmp*t": 0.05, "bsmpt*c": 0.03,
        },
    },
    noise=0.08,
)  # fmt: skip
TTFT = Target(
    start={
        "mfup": 0.5, "a0": 0.02, "h": 0.1, "ga": 0.7, "ks": 1.0, "capf": 1.0, "slot": 0.018, "mult2": 1.0,
    },
    freedom={"mfup": 0.5, "a0": 1, "h": 1, "ga": 0.4, "ks": 0.7, "capf": 0.2, "slot": 1, "mult2": 0.001},
    widths={
        "mfup": {"b": 0.2, "s": 0.1, "gp": 0.15, "bs": 0.1, "bc": 0.1},
        "a0": {"b": 0.4, "bc": 0.2, "bs": 0.1, "bsm": 0.1},
        "h": {"b": 0.4, "bc": 0.2, "bs": 0.1, "bsm": 0.15},
        "ga": {"b": 0.15},
        "ks": {"b": 0.4, "bc": 0.2},
        "capf": {"b": 0.1, "bsm": 0.05},
        "slot": {"b": 0.5, "bsm": 0.7},
        "mult2": {
            "m": 0.1, "bm": 0.15, "sm": 0.1, "bsm": 0.3, "bsmp": 0.2, "epm": 0.1, "bsmpt": 0.15,
            "bsmp*c": 0.15, "bsmp*i": 0.15, "bsmp*o": 0.15, "bsmp*t": 0.1, "bsmpt*c": 0.05,
        },
    },
    noise=0.22,
)  # fmt: skip


@dataclass
class Data:
    """Rows with their facts as arrays."""

    rows: list[measured.Row]
    levels: list[Levels]
    facts: Facts
    tpot: Array
    ttft: Array
    excluded: Counter[str]
    kinds: dict[str, str]

    def take(self, index: Array) -> tuple[Facts, list[Levels], Array, Array]:
        """The facts and measured values of some rows."""
        part = Facts(**{f.name: getattr(self.facts, f.name)[index] for f in fields(Facts)})
        return part, [self.levels[i] for i in index], self.tpot[index], self.ttft[index]


def read(path: Path, keep_all: bool = False) -> Data:
    """The rows of a file, without those that do not count."""
    catalogue = Catalogue()
    rows = measured.read(path)
    found = [cases.of_row(row, catalogue) for row in rows]
    out = {} if keep_all else cases.left_out(rows, found, catalogue)
    keep = [index for index in range(len(rows)) if index not in out]
    stacked = {
        f.name: np.array([getattr(found[i].facts, f.name) for i in keep], dtype=float) for f in fields(Facts)
    }
    return Data(
        [rows[i] for i in keep],
        [found[i].levels for i in keep],
        Facts(**stacked),
        np.array([rows[i].tpot_ms for i in keep]) / 1e3,
        np.array([rows[i].ttft_ms for i in keep]) / 1e3,
        Counter(out.values()),
        cases.architectures(rows, catalogue),
    )


def _codes(levels: Sequence[Levels], level: str, table: dict[str, int]) -> tuple[Array, Array]:
    """Numbers for the groups of a level, and what to multiply its effect with."""
    group, _, feature = level.partition("*")
    codes = np.array([table.setdefault(one.groups[group], len(table)) for one in levels])
    scale = np.array([one.features[feature] for one in levels]) if feature else np.ones(len(levels))
    return codes, scale


class Fit:
    """Factors of one target, fitted to some rows."""

    def __init__(
        self,
        target: Target,
        levels: Sequence[Levels],
        predict: Callable[[dict[str, Array]], Array],
        goal: Array,
        rounds: int = 9,
    ) -> None:
        self.target = target
        self.tables: dict[str, dict[str, int]] = {}
        self.codes: dict[str, tuple[Array, Array]] = {}
        for level in {level for widths in target.widths.values() for level in widths}:
            self.codes[level] = _codes(levels, level, self.tables.setdefault(level, {}))
        self.same = {
            level: (codes[:, None] == codes[None, :]) * np.outer(scale, scale)
            for level, (codes, scale) in self.codes.items()
        }
        self.kernels = {
            name: target.freedom[name] ** 2
            + sum(width**2 * self.same[level] for level, width in target.widths[name].items())
            for name in target.start
        }
        self.start = {name: np.log(value) for name, value in target.start.items()}
        self.weights: dict[str, Array] = {name: np.zeros(len(goal)) for name in target.start}
        self._run(predict, goal, rounds)

    def _factors(self) -> dict[str, Array]:
        return {name: self.start[name] + self.kernels[name] @ self.weights[name] for name in self.start}

    def _run(self, predict: Callable[[dict[str, Array]], Array], goal: Array, rounds: int) -> None:
        huber = 2 * self.target.noise

        def values(logs: dict[str, Array]) -> Array:
            return np.log(predict({name: np.exp(value) for name, value in logs.items()}))

        def loss(residual: Array) -> float:
            small = np.abs(residual) < huber
            return float(np.where(small, residual**2 / 2 / huber, np.abs(residual) - huber / 2).sum())

        goal = np.log(goal)
        for number in range(rounds):
            logs = self._factors()
            now = values(logs)
            slopes = {}
            for name in self.start:
                moved = {**logs, name: logs[name] + 1e-4}
                slopes[name] = (values(moved) - now) / 1e-4
            residual = goal - now
            # From coarse to fine: large noise first, so that the bases find their place before the groups do.
            noise = max(self.target.noise, (0.3, 0.2, 0.15, 0.1)[min(number, 3)])
            trust = np.minimum(1.0, huber / np.maximum(np.abs(residual), 1e-9))
            matrix = np.diag(noise**2 / trust)
            right = residual.copy()
            for name, slope in slopes.items():
                matrix += np.outer(slope, slope) * self.kernels[name]
                right += slope * (logs[name] - self.start[name])
            solved = np.linalg.solve(matrix, right)
            best: tuple[float, dict[str, Array]] | None = None
            for length in (1.0, 0.6, 0.3):
                trial = {
                    name: self.weights[name] + length * (slopes[name] * solved - self.weights[name])
                    for name in self.start
                }
                at = {name: self.start[name] + self.kernels[name] @ trial[name] for name in self.start}
                value = loss(goal - values(at))
                if best is None or value < best[0]:
                    best = value, trial
                if value < loss(residual):
                    break
            assert best is not None
            self.weights = best[1]

    def base(self) -> dict[str, float]:
        """The base of each factor, as a logarithm."""
        return {
            name: round(float(start + self.target.freedom[name] ** 2 * self.weights[name].sum()), 5)
            for name, start in self.start.items()
        }

    def effects(self) -> dict[str, dict[str, dict[str, float]]]:
        """The corrections by factor, level and group; those too small to matter are left out."""
        found: dict[str, dict[str, dict[str, float]]] = {}
        for name, widths in self.target.widths.items():
            for level, width in widths.items():
                codes, scale = self.codes[level]
                table = self.tables[level]
                sums = np.bincount(codes, self.weights[name] * scale, len(table)) * width**2
                rows = {key: round(float(sums[code]), 4) for key, code in sorted(table.items())}
                kept = {key: value for key, value in rows.items() if abs(value) >= 5e-4 or level == "bsm"}
                if kept:
                    found.setdefault(name, {})[level] = kept
        return found


def fit(data: Data, index: Array) -> Calibration:
    """The calibration of some of the rows."""
    part, levels, tpot, ttft = data.take(index)
    first = Fit(TPOT, levels, lambda p: speed.tpot(part, p, part.osl * tpot, ttft), tpot)
    second = Fit(TTFT, levels, lambda p: speed.ttft(part, p, tpot), ttft)
    return load(
        {
            "date": datetime.date.today().isoformat(),
            "rows": len(index),
            "source": "",
            "base": {**first.base(), **second.base()},
            "effects": {**first.effects(), **second.effects()},
            "residuals": {},
            "accuracy": {},
        }
    )


def predict(calibration: Calibration, data: Data, index: Array) -> tuple[Array, Array]:
    """TPOT and TTFT of some rows in seconds, as a plan predicts them."""
    part, levels, _, _ = data.take(index)
    rows = [calibration.factors(one) for one in levels]
    factors = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return speed.together(part, factors)


def folds(data: Data, kind: str, count: int, seed: int = 0) -> Array:
    """Which fold each row is held out in: at random, or each combination alone.

    DeepSeek-R1 and V3 are one architecture, and some rows of the data stand there under both names: they
    are one combination, and copies of a row are held out together.
    """
    if kind == "row":
        drawn = np.random.default_rng(seed).integers(0, count, len(data.rows))
        copies = [(r.system, r.backend, r.isl, r.osl, r.ttft_ms, r.tpot_ms) for r in data.rows]
        first = {copy: drawn[index] for index, copy in enumerate(copies)}
        return np.array([first[copy] for copy in copies])
    names = [(row.system, data.kinds[row.model], row.backend) for row in data.rows]
    number = {name: index for index, name in enumerate(sorted(set(names)))}
    return np.array([number[name] for name in names])


def held_out(data: Data, kind: str, count: int) -> tuple[Array, Array]:
    """Predictions of every row by a calibration that never saw it."""
    fold = folds(data, kind, count)
    tpot, ttft = np.zeros(len(fold)), np.zeros(len(fold))
    for number in range(fold.max() + 1):
        inside, outside = np.where(fold == number)[0], np.where(fold != number)[0]
        tpot[inside], ttft[inside] = predict(fit(data, outside), data, inside)
        print(f"  {kind} fold {number + 1} of {fold.max() + 1}", file=sys.stderr, flush=True)
    return tpot, ttft


def errors(predicted: Array, truth: Array) -> dict[str, float]:
    """Mean absolute percentage error, bias and median, in percent."""
    relative = predicted / truth - 1
    return {
        "mape": round(float(np.abs(relative).mean() * 100), 2),
        "bias": round(float(relative.mean() * 100), 2),
        "median": round(float(np.median(np.abs(relative)) * 100), 2),
    }


def quantiles(predicted: Array, truth: Array) -> list[float]:
    """The 10 % and 90 % quantiles of log(measured / predicted)."""
    return [round(float(value), 4) for value in np.quantile(np.log(truth / predicted), (0.1, 0.9))]


def main() -> None:
    """Fit, check, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--write", action="store_true", help="write factors.json")
    parser.add_argument("--to", type=Path, default=TARGET, help="where to write it")
    parser.add_argument("--check", choices=["row", "group"], help="only print held-out errors of one split")
    parser.add_argument("--folds", type=int, default=0)
    arguments = parser.parse_args()
    data = read(arguments.rows)
    print(f"{len(data.rows)} rows; left out: {dict(data.excluded)}")
    accuracy: dict[str, dict[str, float]] = {}
    residuals: dict[str, dict[str, list[float]]] = {}
    for kind, name, count in (("row", "known", 5), ("group", "unknown", 0)):
        if arguments.check not in (None, kind) or not (arguments.check or arguments.write):
            continue
        tpot, ttft = held_out(data, kind, arguments.folds or count)
        shown = errors(tpot, data.tpot), errors(ttft, data.ttft)
        print(f"held out by {kind}: TPOT {shown[0]} TTFT {shown[1]}")
        accuracy[kind] = {"tpot": shown[0]["mape"], "ttft": shown[1]["mape"], "rows": len(tpot)}
        residuals[name] = {"tpot": quantiles(tpot, data.tpot), "ttft": quantiles(ttft, data.ttft)}
    if not arguments.write:
        return
    everything = fit(data, np.arange(len(data.rows)))
    arguments.to.write_text(
        json.dumps(
            {
                "date": everything.date,
                "rows": everything.rows,
                "source": SOURCE,
                "base": everything.base,
                "effects": everything.effects,
                "residuals": residuals,
                "accuracy": accuracy,
            },
            indent=0,
        )
        + "\n"
    )
    print(f"wrote {arguments.to}")


if __name__ == "__main__":
    main()
