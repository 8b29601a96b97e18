"""A measured sweep as people read it on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.table import Table

from nimctl.bench.result import Interval, Level, Result
from nimctl.bench.statistics import Distribution

WIDE = 112
"""Columns that the percentiles of all times need side by side; in fewer they stand below each other."""
TIMES = {"TTFT": "ttft_ms", "TPOT": "tpot_ms", "ITL": "itl_ms", "E2E": "e2e_ms"}


def tables(result: Result, width: int = WIDE) -> Iterator[RenderableType]:
    """What it carries, how times are spread, and how that compares with the plan; ``width`` in columns."""
    if not result.levels:
        return
    yield _throughput(result)
    yield ""
    yield _latency(result) if width >= WIDE else _latency_long(result)
    if result.prediction:
        yield ""
        yield _compared(result)


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _throughput(result: Result) -> Table:
    headings = ["CONCURRENCY", "ANSWERS", "FAILED", "TOKENS/S", "PER USER", "REQ/S"]
    if result.limits.any:
        headings += ["GOODPUT/S", "IN LIMITS"]
    table = _table(*headings)
    for level in result.levels:
        cells = [
            str(level.concurrency),
            str(level.completed) + ("" if level.complete else " so far"),
            _failed(level),
            _number(level.tokens_per_second),
            _number(level.tokens_per_second_per_user),
            f"{level.requests_per_second:.2f}",
        ]
        if level.goodput:
            cells += [f"{level.goodput.requests_per_second:.2f}", f"{level.goodput.share:.0%}"]
        table.add_row(*cells)
    return table


def _failed(level: Level) -> str:
    failed = level.requests - level.completed
    return f"[red]{failed}[/]" if failed else "0"


def _latency(result: Result) -> Table:
    table = _table("CONCURRENCY", *(f"{name} p50 / p90 / p99 ms" for name in TIMES))
    for level in result.levels:
        spreads = (_percentiles(getattr(level, key)) for key in TIMES.values())
        table.add_row(str(level.concurrency), *(" / ".join(spread) for spread in spreads))
    return table


def _latency_long(result: Result) -> Table:
    table = _table("CONCURRENCY", "TIME", "p50 ms", "p90 ms", "p99 ms")
    for level in result.levels:
        for number, (name, key) in enumerate(TIMES.items()):
            table.add_row("" if number else str(level.concurrency), name, *_percentiles(getattr(level, key)))
    return table


def _compared(result: Result) -> Table:
    predicted = {item.concurrency: item for item in result.prediction}
    table = _table(
        "CONCURRENCY", "TTFT ms", "PREDICTED", "", "TPOT ms", "PREDICTED", "", "TOKENS/S", "PREDICTED", ""
    )
    for level in result.levels:
        item = predicted.get(level.concurrency)
        if item is None:
            continue
        table.add_row(
            str(level.concurrency),
            *_against(level.ttft_ms.p50 if level.ttft_ms else None, item.ttft_ms),
            *_against(level.tpot_ms.p50 if level.tpot_ms else None, item.tpot_ms),
            *_against(level.tokens_per_second, item.tokens_per_second),
        )
    return table


def _against(measured: float | None, predicted: Interval) -> tuple[str, str, str]:
    said = f"{_number(predicted.value)} ({_number(predicted.low)}-{_number(predicted.high)})"
    if measured is None:
        return "", said, ""
    word = verdict(measured, predicted)
    return _number(measured), said, {"as predicted": "[green]within[/]"}.get(word, f"[yellow]{word}[/]")


def verdict(measured: float, predicted: Interval) -> str:
    """Where a measured number lies: ``as predicted``, ``below`` or ``above`` the interval."""
    if measured < predicted.low:
        return "below"
    return "above" if measured > predicted.high else "as predicted"


def errors(result: Result) -> Mapping[str, tuple[int, str]]:
    """Kinds of failure, how often each happened in the whole sweep, and one example."""
    found: dict[str, tuple[int, str]] = {}
    for level in result.levels:
        for kind, count in level.errors.items():
            before, example = found.get(kind, (0, level.error_examples[kind]))
            found[kind] = (before + count, example)
    return found


def _percentiles(times: Distribution | None) -> tuple[str, ...]:
    return ("-",) * 3 if times is None else tuple(map(_number, (times.p50, times.p90, times.p99)))


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
