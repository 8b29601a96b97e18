"""A plan as text for a terminal: the answer first, then what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nimctl.plan.answer import Alternative, Estimate, Plan

GB = 1e9
_COLOURS = {"viable": "green", "degraded": "yellow", "unviable": "red"}


def show(plan: Plan, console: Console | None = None) -> None:
    """Print a plan."""
    out = console or Console(highlight=False)
    if not out.is_terminal:
        out = Console(highlight=False, width=118, file=out.file)
    title = f"{plan.deployment}: " if plan.deployment else ""
    out.print(f"[bold {'green' if plan.fits else 'red'}]{escape(title)}{escape(plan.summary)}[/]")
    out.print()
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _answers(plan):
        table.add_row(name, text)
    out.print(table)
    if plan.fabric and plan.fabric.table:
        out.print()
        out.print(_networks(plan))
    if plan.alternatives:
        out.print()
        out.print(_alternatives(plan.alternatives))
    if plan.explanations:
        out.print()
        _explain(plan, out)
    else:
        out.print("\n[dim]--explain names formula, inputs and source of each number[/]")


def _answers(plan: Plan) -> Iterator[tuple[str, str]]:
    memory = plan.memory
    limit = memory.stages[memory.limiting_stage]
    word = "[green]yes[/]" if plan.fits else "[red]no[/]"
    yield (
        "fits",
        f"{word}: a GPU needs {memory.needed_per_gpu / GB:.1f} of {memory.capacity_per_gpu / GB:.1f} GB "
        f"(weights {limit.weights / GB:.1f}, KV cache {limit.kv_cache / GB:.1f}, activations "
        f"{limit.activations / GB:.1f}, overhead {limit.overhead / GB:.1f}); all weights "
        f"{memory.weights_total / GB:,.0f} GB",
    )
    if plan.fits:
        yield (
            "room",
            f"{memory.max_concurrency:,} requests of {plan.workload.isl:,} + "
            f"{plan.workload.osl:,} tokens; the "
            f"longest alone {memory.max_context:,}",
        )
    stages = "/".join(map(str, plan.stages))
    layers = f", layers {stages}" if plan.pipeline > 1 else f", {stages} layers"
    expert = f", experts whole on {plan.expert} GPUs" if plan.expert > 1 else ""
    nodes = f"{plan.nodes} node{'s' if plan.nodes > 1 else ''}"
    yield (
        "split",
        f"tensor {plan.tensor}, pipeline {plan.pipeline}{expert}: {plan.gpus} GPUs on {nodes}{layers}; "
        f"{plan.precision}, KV cache {plan.kv_precision}",
    )
    if plan.prediction:
        shown = plan.prediction
        yield (
            "per token",
            f"{_range(shown.tpot_ms, 'ms')}; {_range(shown.tokens_per_second_per_user, 'tokens/s per user')}",
        )
        yield "first token", f"{_range(shown.ttft_ms, 'ms')}; {shown.ttft_unloaded_ms.value:,.0f} ms alone"
        yield (
            "throughput",
            f"{_range(shown.tokens_per_second, 'tokens/s')} at {plan.workload.concurrency} requests",
        )
        yield "origin", f"{shown.tpot_ms.origin}: {escape(shown.tpot_ms.basis)}"
    if plan.fabric:
        colour = _COLOURS[plan.fabric.verdict]
        yield (
            "fabric",
            f"[{colour}]{plan.fabric.verdict}[/]: {escape(plan.fabric.reason)} ({plan.fabric.origin})",
        )
    if plan.cost:
        cost = plan.cost
        licence = f" ({cost.licence_usd_per_hour:,.2f} of it licence)" if cost.licence_usd_per_hour else ""
        million = (
            f", ${cost.usd_per_million_out:,.2f} a million output tokens" if cost.usd_per_million_out else ""
        )
        as_of = f"; prices of {cost.as_of}" if cost.as_of else ""
        yield (
            "cost",
            f"${cost.usd_per_hour:,.2f} an hour{licence}, ${cost.usd_per_month:,.0f} a month{million}{as_of}",
        )
        for entry in cost.break_even:
            when = (
                f"from {entry.tokens_per_month / 1e6:,.0f} million tokens a month on"
                if entry.tokens_per_month
                else "no break-even"
            )
            yield "", f"{escape(entry.api)}: {when}; {escape(entry.reason)}"
    for number, reason in enumerate(plan.reasons):
        yield "why" if not number else "", escape(reason)
    for number, note in enumerate(plan.notes):
        yield "note" if not number else "", escape(note)


def _range(estimate: Estimate, unit: str) -> str:
    digits = 0 if estimate.value >= 100 else 1
    low, value, high = (f"{number:,.{digits}f}" for number in (estimate.low, estimate.value, estimate.high))
    return f"{value} {unit} ({low} to {high})"


def _networks(plan: Plan) -> Table:
    table = Table(title="Networks", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("network", "split", "GB/s a GPU", "between nodes", "ms a token", "verdict"):
        table.add_column(column, justify="left" if column in ("network", "split", "verdict") else "right")
    assert plan.fabric is not None
    for row in plan.fabric.table:
        table.add_row(
            escape(row.name),
            f"TP{row.tensor} x PP{row.pipeline}" if row.pipeline > 1 else f"TP{row.tensor}",
            f"{row.gbs_per_gpu:,.2f}",
            f"{row.share:.1%}",
            f"{row.tpot_ms:,.1f}",
            f"[{_COLOURS[row.verdict]}]{row.verdict}[/]",
        )
    return table


def _alternatives(rows: Sequence[Alternative]) -> Table:
    table = Table(title="Alternatives", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("what", "fits", "GPUs", "ms a token", "$/M out"):
        table.add_column(column, justify="left" if column in ("what", "fits") else "right", overflow="fold")
    table.add_column("because", overflow="fold")
    for row in rows:
        table.add_row(
            escape(row.title),
            "yes" if row.fits else "no",
            str(row.gpus) if row.gpus else "",
            f"{row.tpot_ms:,.1f}" if row.tpot_ms else "",
            f"{row.usd_per_million_out:,.2f}" if row.usd_per_million_out else "",
            escape(row.reason),
        )
    return table


def _explain(plan: Plan, out: Console) -> None:
    for one in plan.explanations:
        out.print(f"[bold]{escape(one.number)}[/]: {escape(one.value)}")
        out.print(f"  = {escape(one.formula)}")
        out.print(f"  with {escape(', '.join(f'{name} {value}' for name, value in one.inputs.items()))}")
        out.print(f"  [dim]from {escape(one.source)}[/]")
