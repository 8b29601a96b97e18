"""The page of a measured sweep, beside the plan's prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nimctl.bench.result import Interval, Level, Predicted, Result
from nimctl.bench.statistics import Distribution
from nimctl.bench.tables import errors
from nimctl.report.chart import Axis, Chart, Rule, Series
from nimctl.report.page import Figure, render
from nimctl.report.words import milliseconds, number


@dataclass(frozen=True, slots=True)
class Place:
    """A level and where it stands in the result."""

    index: int
    level: Level


def page(result: Result) -> str:
    """The page as text."""
    places = [Place(index, level) for index, level in enumerate(result.levels)]
    best = max(places, key=lambda place: place.level.tokens_per_second or 0.0, default=None)
    good = max(
        (place for place in places if place.level.goodput),
        key=lambda place: place.level.goodput.requests_per_second if place.level.goodput else 0.0,
        default=None,
    )
    return render(
        "bench.html.j2",
        result=result,
        where=result.endpoint.deployment or result.endpoint.url,
        headline=_headline(result, best),
        lead=_lead(result),
        best=best,
        first=min(places, key=lambda place: place.level.concurrency, default=None),
        good=good,
        failed=result.failed,
        asked=sum(level.requests for level in result.levels),
        figures=_figures(result),
        errors=errors(result),
        facts=_facts(result),
    )


def _headline(result: Result, best: Place | None) -> str:
    if best is None:
        return "Nothing was measured"
    rate = best.level.tokens_per_second
    if rate is None:
        return f"{result.endpoint.model}: {number(best.level.requests_per_second)} requests per second"
    return f"{result.endpoint.model}: {number(rate)} tokens per second"


def _lead(result: Result) -> str:
    if not result.levels:
        return "The sweep was stopped before a request was answered."
    levels = [level.concurrency for level in result.levels]
    span = f"{min(levels)} to {max(levels)} requests" if len(levels) > 1 else f"{levels[0]} requests"
    text = f"{span} in flight, each with {result.load.isl} tokens in and {result.load.osl} out."
    limits = [
        f"{name} at most {milliseconds(limit)}"
        for name, limit in (
            ("first token", result.limits.ttft_ms),
            ("time per token", result.limits.tpot_ms),
            ("whole answer", result.limits.e2e_ms),
        )
        if limit is not None
    ]
    return f"{text} Limits: {', '.join(limits)}." if limits else text


def _figures(result: Result) -> list[Figure]:
    found = [
        _latency(
            result, "Time per output token", "TPOT", lambda level: level.tpot_ms, lambda item: item.tpot_ms,
            result.limits.tpot_ms,
        ),
        _latency(
            result, "Time to the first token", "TTFT", lambda level: level.ttft_ms,
            lambda item: item.ttft_ms, result.limits.ttft_ms,
        ),
        _throughput(result),
        _goodput(result),
    ]  # fmt: skip
    return [figure for figure in found if figure is not None]


def _concurrency(levels: Sequence[Level]) -> Axis:
    return Axis(
        "requests in flight", lambda value: f"{value:g}", [level.concurrency for level in levels], True
    )


def _latency(
    result: Result,
    title: str,
    short: str,
    times: Callable[[Level], Distribution | None],
    predicted: Callable[[Predicted], Interval],
    limit: float | None,
) -> Figure | None:
    measured = sorted(
        ((level.concurrency, found) for level in result.levels if (found := times(level))),
        key=lambda pair: pair[0],
    )
    if len(measured) < 2:
        return None
    series = [
        Series(
            "measured, median to p99",
            [(at, found.p50) for at, found in measured],
            1,
            "circle",
            [(at, found.p50, found.p99) for at, found in measured],
        )
    ]
    plan = [(item.concurrency, predicted(item)) for item in result.prediction]
    if len(plan) > 1:
        series.append(
            Series(
                "predicted by the plan",
                [(at, item.value) for at, item in plan],
                2,
                "square",
                [(at, item.low, item.high) for at, item in plan],
            )
        )
    low, high = measured[0], measured[-1]
    said = dict(plan)
    return Figure(
        Chart(
            title,
            f"Median {milliseconds(low[1].p50)} at concurrency {low[0]}, "
            f"{milliseconds(high[1].p50)} at {high[0]}.",
            _concurrency(result.levels),
            Axis(f"{short} (ms)", milliseconds),
            series,
            [Rule("y", limit, f"limit {milliseconds(limit)}")] if limit is not None else [],
        ),
        ("Concurrency", "p50", "p90", "p99", *(("predicted",) if plan else ())),
        tuple(
            (
                str(at),
                milliseconds(found.p50),
                milliseconds(found.p90),
                milliseconds(found.p99),
                *((_said(said.get(at)),) if plan else ()),
            )
            for at, found in measured
        ),
    )


def _said(item: Interval | None) -> str:
    if item is None:
        return "-"
    return f"{milliseconds(item.value)} ({number(item.low)} to {number(item.high)})"


def _throughput(result: Result) -> Figure | None:
    measured = sorted(
        (level.concurrency, level.tokens_per_second)
        for level in result.levels
        if level.tokens_per_second is not None
    )
    if len(measured) < 2:
        return None
    series = [Series("measured", measured, 1)]
    plan = [(item.concurrency, item.tokens_per_second) for item in result.prediction]
    if len(plan) > 1:
        band = [(at, item.low, item.high) for at, item in plan]
        series.append(
            Series("predicted by the plan", [(at, item.value) for at, item in plan], 2, "square", band)
        )
    said = {at: number(item.value) for at, item in plan}
    return Figure(
        Chart(
            "Output tokens per second, all users",
            f"{number(measured[0][1])} at concurrency {measured[0][0]}, "
            f"{number(measured[-1][1])} at {measured[-1][0]}.",
            _concurrency(result.levels),
            Axis("tokens per second", number, log=False),
            series,
        ),
        ("Concurrency", "measured", *(("predicted",) if plan else ())),
        tuple((str(at), number(rate), *((said.get(at, "-"),) if plan else ())) for at, rate in measured),
    )


def _goodput(result: Result) -> Figure | None:
    kept = sorted(
        (level.concurrency, level.goodput.requests_per_second, level.requests_per_second)
        for level in result.levels
        if level.goodput
    )
    if len(kept) < 2:
        return None
    best = max(kept, key=lambda item: item[1])
    return Figure(
        Chart(
            "Goodput",
            f"At most {number(best[1])} requests per second within the limits, at concurrency {best[0]}.",
            _concurrency(result.levels),
            Axis("requests per second", number, log=False),
            [
                Series("within the limits", [(at, good) for at, good, _ in kept], 1),
                Series("all answered", [(at, every) for at, _, every in kept], 2, "square"),
            ],
        ),
        ("Concurrency", "within the limits", "all answered"),
        tuple((str(at), number(good), number(every)) for at, good, every in kept),
    )


def _facts(result: Result) -> list[tuple[str, str]]:
    setup, load = result.setup, result.load
    gpus = (
        f"{setup.nodes or 1} x {setup.gpus_per_node} x {setup.system}"
        if setup.gpus_per_node
        else setup.system
    )
    split = f"TP{setup.tp}" + (f" x PP{setup.pp}" if setup.pp else "") if setup.tp else None
    parts = [setup.model, setup.backend, setup.backend_version, setup.precision, split, gpus]
    requests = f"{load.requests} requests" if load.requests else "ten requests for each slot"
    warmup = "as many as the concurrency" if load.warmup is None else str(load.warmup)
    return [
        ("Endpoint", f"{result.endpoint.url} ({result.endpoint.api}), model {result.endpoint.model}"),
        ("Served by", ", ".join(part for part in parts if part) or "not known"),
        ("Load", f"{load.isl} tokens in, {load.osl} out; per level {requests}, warm-up {warmup}"),
        ("Client", f"{result.tool} {result.version}; closed loop, streaming, new prompts in each run"),
    ]
