"""The page of a plan: what to run, how fast it will be, what it costs, and what else there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from nimctl.plan.answer import BreakEven, Curves, LatencyPoint, Plan, StageMemory
from nimctl.report.chart import FULL, Axis, Chart, Rule, Series
from nimctl.report.page import Figure, part, render
from nimctl.report.words import count, dollars, milliseconds, number, sentence

PARTS = (
    ("weights", "weights"),
    ("kv_cache", "KV cache"),
    ("activations", "activations"),
    ("overhead", "engine and CUDA"),
)
STEPS = {
    "weights": "reading weights",
    "kv_cache": "reading the KV cache",
    "compute": "arithmetic",
    "collectives": "all-reduce between GPUs",
    "pipeline": "between pipeline stages",
    "overhead": "launches and scheduling",
    "prefill": "waiting for prefills of others",
}
RANKS = 32
"""Ranks that are drawn; a replica of more is summed up."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a bar; ``width`` is percent of the bar."""

    kind: str
    name: str
    size: int
    width: float


@dataclass(frozen=True, slots=True)
class Bar:
    """The memory of a GPU of one stage; ``limit`` is where its capacity ends, percent, if it is exceeded."""

    index: int
    stage: StageMemory
    pieces: tuple[Piece, ...]
    limit: float | None
    same: int


def page(*plans: Plan) -> str:
    """The page of one plan, or of several: one for each deployment of a description."""
    single = len(plans) == 1
    articles = []
    for place, plan in enumerate(plans):
        name = f"plan{place}"
        articles.append((name, plan, _article(plan, name, "" if single else f"deployments.{place}.")))
    title = (
        f"{plans[0].model.name} on {_machines(plans[0])}" if single else f"{len(plans)} deployments planned"
    )
    return render("plan.html.j2", title=title, articles=articles)


def _machines(plan: Plan) -> str:
    return f"{plan.gpus} x {plan.cluster.gpu}"


def _article(plan: Plan, name: str, prefix: str) -> Markup:
    """One plan; ``prefix`` leads from the JSON of the whole answer to that of this plan."""
    return part(
        "plan_article.html.j2",
        id=name,
        prefix=prefix,
        plan=plan,
        split=split(plan),
        stages=stages(plan),
        bars=bars(plan),
        parts=PARTS,
        shown=plan.placement[:RANKS],
        layers_total=sum(plan.stages) or 1,
        figures=_figures(plan),
        cost=_cost(plan),
        steps=_steps(plan),
        tones={"viable": "good", "degraded": "warn", "unviable": "bad"},
        sources=_sources(plan),
    )


def split(plan: Plan) -> str:
    """The split in the field's short words: ``TP8 x PP2``."""
    parts = [f"TP{plan.tensor}", f"PP{plan.pipeline}"]
    if plan.expert > 1:
        parts.append(f"EP{plan.expert}")
    if plan.data > 1:
        parts.append(f"DP{plan.data}")
    return " × ".join(parts)  # noqa: RUF001 - a multiplication sign for people


def stages(plan: Plan) -> str:
    """How the layers are split over the stages: ``31 / 30``, or a summary where there are many."""
    if len(plan.stages) <= 4:
        return " / ".join(str(layers) for layers in plan.stages)
    few, many = min(plan.stages), max(plan.stages)
    return f"{len(plan.stages)} stages of {few if few == many else f'{few} to {many}'}"


def bars(plan: Plan) -> list[Bar]:
    """One bar for each kind of stage: stages whose GPUs look the same share one."""
    found: list[Bar] = []
    for index, stage in enumerate(plan.memory.stages):
        before = found[-1] if found else None
        if before is not None and _alike(before.stage, stage):
            found[-1] = Bar(before.index, before.stage, before.pieces, before.limit, before.same + 1)
            continue
        found.append(_bar(index, stage))
    return found


def _alike(one: StageMemory, other: StageMemory) -> bool:
    return all(
        getattr(one, name) == getattr(other, name) for name in ("layers", "capacity", "free", *dict(PARTS))
    )


def _bar(index: int, stage: StageMemory) -> Bar:
    sizes = [(kind, name, getattr(stage, kind)) for kind, name in PARTS]
    whole = max(stage.capacity, sum(size for _, _, size in sizes))
    if stage.free > 0:
        sizes.append(("free", "free", stage.free))
    pieces = tuple(Piece(kind, name, size, round(100 * size / whole, 3)) for kind, name, size in sizes)
    limit = round(100 * stage.capacity / whole, 3) if stage.free < 0 else None
    return Bar(index, stage, pieces, limit, 1)


def _figures(plan: Plan) -> list[Figure]:
    if plan.curves is None or len(plan.curves.latency) < 2:
        return []
    points = plan.curves.latency
    return [
        _latency(
            plan,
            points,
            "Time per output token",
            "TPOT",
            lambda point: (point.tpot_ms, point.tpot_low_ms, point.tpot_high_ms),
            plan.workload.tpot_limit_ms,
        ),
        _latency(
            plan,
            points,
            "Time to the first token",
            "TTFT",
            lambda point: (point.ttft_ms, point.ttft_low_ms, point.ttft_high_ms),
            plan.workload.ttft_limit_ms,
        ),
    ]


def _latency(
    plan: Plan,
    points: Sequence[LatencyPoint],
    title: str,
    short: str,
    times: Callable[[LatencyPoint], tuple[float, float, float]],
    limit: float | None,
) -> Figure:
    here = plan.workload.concurrency
    full = next((point.concurrency for point in points if not point.fits), None)
    rules = [Rule("x", here, f"asked for: {here}")]
    if limit is not None:
        rules.append(Rule("y", limit, f"limit {milliseconds(limit)}"))
    low, high = points[0], points[-1]
    return Figure(
        Chart(
            title,
            f"{milliseconds(times(low)[0])} at {low.concurrency} in flight, "
            f"{milliseconds(times(high)[0])} at {high.concurrency}; the band is the interval.",
            Axis(
                "requests in flight",
                lambda value: f"{value:g}",
                [point.concurrency for point in points],
                True,
            ),
            Axis(f"{short} (ms)", milliseconds),
            [
                Series(
                    short,
                    [(point.concurrency, times(point)[0]) for point in points],
                    1,
                    "circle",
                    [(point.concurrency, *times(point)[1:]) for point in points],
                )
            ],
            rules,
            (full, "KV cache full") if full is not None else None,
        ),
        ("In flight", short, "from", "to", "tokens/s", "KV cache"),
        tuple(
            (
                str(point.concurrency),
                *(milliseconds(value) for value in times(point)),
                number(point.tokens_per_second),
                "fits" if point.fits else "full",
            )
            for point in points
        ),
    )


def _cost(plan: Plan) -> Figure | None:
    if plan.curves is None or plan.cost is None or len(plan.curves.cost) < 2:
        return None
    points = plan.curves.cost
    apis = plan.cost.break_even[:3]
    own = Series(
        "own GPUs", [(point.tokens_per_month, point.self_usd) for point in points], 1, "none", step=True
    )
    others = [
        Series(
            item.api, [(point.tokens_per_month, point.api_usd[index]) for point in points], 2 + index, "none"
        )
        for index, item in enumerate(apis)
    ]
    rules = [
        Rule("x", item.tokens_per_month, f"break-even {count(item.tokens_per_month)}")
        for item in apis
        if item.tokens_per_month is not None and item.reachable
    ]
    cheapest = _nearest(plan)
    return Figure(
        Chart(
            "Cost against load",
            sentence(cheapest.reason) if cheapest else "No API to compare with is in the price book.",
            Axis("tokens per month, in and out", count, log=False),
            Axis("USD per month", dollars, log=_spread(plan.curves)),
            [own, *others],
            rules,
        ),
        ("Tokens per month", "Replicas", "own GPUs", *(item.api for item in apis)),
        tuple(
            (
                count(point.tokens_per_month),
                str(point.replicas),
                dollars(point.self_usd),
                *(dollars(price) for price in point.api_usd[: len(apis)]),
            )
            for point in points
        ),
        FULL,
    )


def _spread(curves: Curves) -> bool:
    """Whether the costs of own GPUs, which begin with a whole replica, need a logarithmic axis."""
    own = [point.self_usd for point in curves.cost]
    return max(own) / max(min(own), 1e-9) > 50


def _nearest(plan: Plan) -> BreakEven | None:
    """The API that is hardest to beat: the cheapest one."""
    if plan.cost is None:
        return None
    return min(plan.cost.break_even, key=lambda item: item.usd_per_million_blended, default=None)


def _steps(plan: Plan) -> list[tuple[str, float, float]]:
    """The parts of one decode step: name, milliseconds, percent; the longest first."""
    if plan.prediction is None:
        return []
    total = sum(plan.prediction.step_ms.values()) or 1.0
    parts = sorted(plan.prediction.step_ms.items(), key=lambda item: -item[1])
    return [
        (STEPS.get(name, name), took, round(100 * took / total, 1))
        for name, took in parts
        if took > total / 1000
    ]


def _sources(plan: Plan) -> list[tuple[str, str]]:
    found = [("Model", plan.model.source), ("GPU", plan.cluster.source)]
    if plan.cluster.fabric:
        found.append(("Fabric", plan.cluster.fabric.source))
    if plan.prediction:
        found.append(("Speed", plan.prediction.tpot_ms.basis))
    if plan.cost:
        found.append(("Prices", f"{plan.cost.source} (as of {plan.cost.as_of})"))
        found += [(item.api, item.source) for item in plan.cost.break_even]
    return found
