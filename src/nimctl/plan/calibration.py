"""The fitted factors: shipped as data, looked up by what a case has in common with the measured rows.

Each factor is a base and corrections that add up in the logarithm, from wide groups (an engine) to narrow
ones (this model on this GPU with this engine). A group that was never measured has none, so that an unknown
combination falls back to what the wider groups say. ``scripts/fit_planner.py`` fits them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from math import exp, log
from typing import Any

from nimctl.plan.gpus import Gpu
from nimctl.plan.model import Format, Model
from nimctl.plan.work import Split

FEATURES = ("c", "i", "o", "t")
"""Concurrency, input length, output length, tensor parallelism: what a correction may slope along."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The groups that a case belongs to, by level, and its features, about 0 and about as wide as 1."""

    groups: Mapping[str, str]
    features: Mapping[str, float]


def levels(
    model: Model,
    form: Format,
    gpu: Gpu,
    split: Split,
    backend: str,
    isl: float,
    osl: float,
    concurrency: float,
) -> Levels:
    """The groups and features of a case."""
    kind = "moe" if model.experts else "dense"
    if model.attention == "mla":
        kind += "-mla"
    b, s, m, p = backend, gpu.name, model.id, form.name
    gp = f"{p}|{gpu.generation}"
    groups = {
        "b": b,
        "s": s,
        "m": m,
        "g": gpu.generation,
        "k": kind,
        "gc": f"{gpu.generation}|{kind}",
        "gp": gp,
        "gpc": f"{gp}|{kind}",
        "bgp": f"{b}|{gp}",
        "bs": f"{b}|{s}",
        "bc": f"{b}|{kind}",
        "bm": f"{b}|{m}",
        "sm": f"{s}|{m}",
        "ps": f"{p}|{s}",
        "bsm": f"{b}|{s}|{m}",
        "bsmp": f"{b}|{s}|{m}|{p}",
        "ep": f"{b}|{split.expert > 1}",
        "epm": f"{b}|{m}|{split.expert > 1}",
        "bsmpt": f"{b}|{s}|{m}|{p}|{split.tensor}",
    }
    features = {
        "c": (log(concurrency) - 3) / 1.2,
        "i": (log(isl) - 7.8) / 0.8,
        "o": (log(osl) - 6.8) / 1.2,
        "t": (log(split.tensor) - 1.2) / 0.7,
    }
    # Nobody measured further out; a slope must not run away there.
    return Levels(groups, {name: max(-2.5, min(2.5, value)) for name, value in features.items()})


@dataclass(frozen=True)
class Calibration:
    """All factors, with the date of the fit and what its held-out errors were.

    ``residuals`` has for ``known`` and ``unknown`` combinations the 10 % and 90 % quantiles of
    log(measured / predicted) for TPOT and TTFT.
    """

    date: str
    rows: int
    source: str
    base: Mapping[str, float]
    effects: Mapping[str, Mapping[str, Mapping[str, float]]]
    residuals: Mapping[str, Mapping[str, tuple[float, float]]]
    accuracy: Mapping[str, Mapping[str, float]]
    corrections: tuple[Any, ...] = field(default=())

    def factors(self, case: Levels) -> dict[str, float]:
        """The factors of a case."""
        found = {}
        for name, value in self.base.items():
            total = value
            for level, values in self.effects.get(name, {}).items():
                group, _, feature = level.partition("*")
                effect = values.get(case.groups[group])
                if effect is not None:
                    total += effect * (case.features[feature] if feature else 1.0)
            found[name] = exp(total)
        return found

    def knows(self, case: Levels) -> bool:
        """Whether the combination of GPU, model and engine was among the fitted rows."""
        return case.groups["bsm"] in self.effects.get("mult", {}).get("bsm", {})


@cache
def shipped() -> Calibration:
    """The factors that come with nimctl."""
    data = json.loads((files("nimctl") / "data" / "factors.json").read_text("utf-8"))
    return load(data)


def load(data: Mapping[str, Any]) -> Calibration:
    """A calibration from its JSON."""
    return Calibration(
        data["date"],
        data["rows"],
        data["source"],
        data["base"],
        data["effects"],
        {
            kind: {name: tuple(pair) for name, pair in rows.items()}
            for kind, rows in data["residuals"].items()
        },
        data["accuracy"],
    )
