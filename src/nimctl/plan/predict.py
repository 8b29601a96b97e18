"""How fast one split is: the formulas with their factors, an interval, and where the numbers come from."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from nimctl.plan import case as cases
from nimctl.plan import fabric, speed
from nimctl.plan.answer import Estimate, Origin, Prediction, Verdict
from nimctl.plan.case import Case
from nimctl.plan.model import Format
from nimctl.plan.question import Question
from nimctl.plan.work import Split

COVERAGE = 0.8
_ANALYTIC = 1.3
"""How much wider an interval is where no measured row is like the case."""


@dataclass(frozen=True)
class Speed:
    """One split at one concurrency, in seconds. ``share`` is what of a decode step is spent between nodes."""

    case: Case
    factors: dict[str, float]
    token: float
    first: float
    alone: float
    step: float
    parts: dict[str, float]
    interference: float
    share: float
    verdict: Verdict
    concurrency: int

    @property
    def tokens_per_second(self) -> float:
        """Output tokens of the replica."""
        osl = self.case.facts.osl
        return float(self.concurrency * osl / (self.first + osl * self.token))


def measure(
    ask: Question, form: Format, split: Split, concurrency: int = 0, network: fabric.Fabric | None = None,
    latency: float = 0.0,
) -> Speed:  # fmt: skip
    """Predict one split; ``latency`` of an all-reduce between nodes takes the place of the fabric's own."""
    count = concurrency or ask.work.concurrency
    network = network or ask.fabric
    batch = max(1.0, count / split.pipeline)
    wire = (ask.model, split, network, ask.gpus_per_node)
    between = fabric.between(*wire, batch / split.data, latency)
    one = cases.case(
        ask.model, form, ask.gpu, split, ask.backend or ask.engine, ask.work.isl, ask.work.osl, count,
        kv_bytes(ask, form), ask.assumed, ask.gpus_per_node, between,
        fabric.between(*wire, ask.work.isl, latency),
    )  # fmt: skip
    factors = ask.calibration.factors(one.levels)
    token, first = speed.together(one.facts, factors)
    own = ask.corrections.of(ask.gpu.name, ask.model.id, ask.backend or ask.engine, split)
    if own:
        token, first = token * exp(own.tpot), first * exp(own.ttft)
    busy = one.facts.osl * token / (one.facts.osl * token + first)
    parts = {name: float(value) for name, value in speed.parts(one.facts, factors, busy).items()}
    step = sum(parts.values())
    share = between / step if step else 0.0
    return Speed(
        one, factors, token, first, speed.ttft_unloaded(one.facts, factors, step), step, parts,
        float(speed.interference(one.facts, factors, busy)), share, fabric.verdict(share, ask.folder), count,
    )  # fmt: skip


def kv_bytes(ask: Question, form: Format) -> float:
    """Bytes of an element of the cache."""
    if ask.kv_precision:
        return 1.0 if ask.kv_precision == "fp8" else 2.0
    return cases.cached_bytes(form, ask.gpu, ask.backend or ask.engine, ask.folder)


def origin(ask: Question, split: Split, found: Speed) -> tuple[Origin, str]:
    """Where the numbers of a split come from, in a word and in a sentence."""
    own = ask.corrections.of(ask.gpu.name, ask.model.id, ask.backend or ask.engine, split)
    backend = ask.backend or ask.engine
    if own:
        return "measured", f"{own.rows} rows of {ask.corrections.file}"
    why = []
    if split.gpus > ask.gpus_per_node:
        why.append("spans nodes")
    if split.pipeline > 1:
        why.append("has pipeline stages")
    if split.tensor > 8 or split.data > 1:
        why.append("has more than 8 tensor ranks")
    if why:
        return "analytic", f"{' and '.join(why)}, and every measured row has one stage on one node"
    rows = f"{ask.calibration.rows:,} published rows, fitted {ask.calibration.date}"
    if ask.calibration.knows(found.case.levels):
        return "calibrated", f"{rows}, those of {ask.model.name} on {ask.gpu.name} with {backend} among them"
    return "calibrated", f"{rows}, none of {ask.model.name} on {ask.gpu.name} with {backend}: by wider groups"


def prediction(ask: Question, form: Format, split: Split, found: Speed) -> Prediction:
    """The prediction of a split with its intervals."""
    kind, basis = origin(ask, split, found)
    tpot, ttft = _bounds(ask, form, split, found)
    osl = ask.work.osl
    count = found.concurrency

    def estimate(value: float, low: float, high: float) -> Estimate:
        covered = COVERAGE if kind == "calibrated" else None
        return Estimate(value, low, high, kind, basis, covered)

    def system(scale_first: float, scale_token: float) -> float:
        return count * osl / (found.first * scale_first + osl * found.token * scale_token)

    token, first, alone = found.token * 1e3, found.first * 1e3, found.alone * 1e3
    shown = {name: value * 1e3 for name, value in found.parts.items()} | {"prefill": found.interference * 1e3}
    # The factor of a combination scales all of them alike; so does a correction of the user's own.
    total = sum(shown.values())
    return Prediction(
        estimate(alone, alone * ttft[0], alone * ttft[1]),
        estimate(first, first * ttft[0], first * ttft[1]),
        estimate(token, token * tpot[0], token * tpot[1]),
        estimate(found.tokens_per_second, system(ttft[1], tpot[1]), system(ttft[0], tpot[0])),
        estimate(1e3 / token, 1e3 / token / tpot[1], 1e3 / token / tpot[0]),
        {name: value * token / total for name, value in shown.items()},
    )


def _bounds(
    ask: Question, form: Format, split: Split, found: Speed
) -> tuple[tuple[float, float], tuple[float, float]]:
    """What TPOT and TTFT are multiplied with for the ends of their intervals."""
    own = ask.corrections.of(ask.gpu.name, ask.model.id, ask.backend or ask.engine, split)
    if own:
        return (exp(-own.tpot_width), exp(own.tpot_width)), (exp(-own.ttft_width), exp(own.ttft_width))
    kind, _ = origin(ask, split, found)
    known = kind == "calibrated" and ask.calibration.knows(found.case.levels)
    rows = ask.calibration.residuals["known" if known else "unknown"]
    low, high = ((exp(rows[name][0]), exp(rows[name][1])) for name in ("tpot", "ttft"))
    if kind != "analytic":
        return (low[0], low[1]), (high[0], high[1])
    spread = [1.0, 1.0]
    if ask.fabric and fabric.spans(split, ask.gpus_per_node) > 1:
        ends = (ask.fabric.latency_low, ask.fabric.latency_high)
        spread = [measure(ask, form, split, latency=end).token / found.token for end in ends]
    return (
        (min(1.0, spread[0]) * low[0] / _ANALYTIC, max(1.0, spread[1]) * low[1] * _ANALYTIC),
        (high[0] / _ANALYTIC, high[1] * _ANALYTIC),
    )
