"""``nimctl diff``: what a run would change, and what that costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from nimctl.cli import running
from nimctl.cli.app import FormatOption, InventoryOption, messages, print_json
from nimctl.cli.options import (
    DEFAULT_RUNS,
    AnsibleArguments,
    LimitOption,
    RunDirOption,
    ansible_arguments,
    json_wanted,
    show_notes,
)
from nimctl.errors import DONE, FAILED
from nimctl.run import session
from nimctl.run.difference import Collector, NodeDifference
from nimctl.run.names import fold
from nimctl.run.target import Target, load


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command()(diff)


def diff(
    inventory: InventoryOption,
    limit: LimitOption = None,
    details: Annotated[bool, typer.Option("--details", help="Show the text of each change.")] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit with 1 if there is a difference, as git diff does.")
    ] = False,
    output: FormatOption = "text",
    run_dir: RunDirOption = DEFAULT_RUNS,
    arguments: AnsibleArguments = None,
) -> None:
    """Show per node what `nimctl provision` would change, what that costs, and which ranks it would restart.

    Runs the whole site in check mode: nothing is changed. Exit codes: 0 done, whether or not there is a
    difference (see --exit-code), 1 the check failed on a node, 2 rejected.
    """
    as_json = json_wanted(output)
    words = ansible_arguments(arguments)
    target = load(inventory)
    show_notes(target)
    collector = Collector(target.limited(limit) or list(target.nodes))
    outcome = running.run(
        "diff",
        "site",
        target,
        limit=limit,
        arguments=words,
        runs=run_dir,
        check=True,
        diff=True,
        listen=collector.listen,
    )
    found = collector.differences()
    differs = any(node.differs for node in found)
    if outcome.exit_code != DONE:
        session.conclude(outcome, messages)
    if as_json:
        print_json(summary(target, found, outcome))
    elif outcome.exit_code == DONE or differs:
        show(found, details, unknown_nodes(outcome))
    if outcome.exit_code == DONE and exit_code and differs:
        raise typer.Exit(FAILED)
    raise typer.Exit(outcome.exit_code)


def summary(target: Target, found: list[NodeDifference], outcome: session.Outcome) -> dict[str, Any]:
    """The stable JSON shape of a difference (docs/reference/json.md, "Difference")."""
    unknown = unknown_nodes(outcome)
    return {
        "cluster": target.cluster,
        "result": outcome.verdict,
        "exit_code": outcome.exit_code,
        "message": outcome.why,
        "record": str(outcome.record),
        "differs": any(node.differs for node in found),
        "nodes": [
            {
                "node": node.node,
                "cost": "unknown" if node.node in unknown else node.cost,
                "changes": [asdict(change) for change in node.changes],
                "ranks": [asdict(rank) for rank in node.ranks],
                "layers": [asdict(layer) for layer in node.layers],
            }
            for node in found
        ],
    }


def unknown_nodes(outcome: session.Outcome) -> frozenset[str]:
    """The nodes that could not be asked to the end: to find nothing there does not mean no difference."""
    nodes = outcome.progress.nodes.values()
    return frozenset(node.name for node in nodes if node.state in ("failed", "unreachable"))


def show(found: list[NodeDifference], details: bool, unknown: frozenset[str] = frozenset()) -> None:
    """Print the difference; nodes of which the same is to be said share one entry."""
    console = Console(highlight=False, soft_wrap=True)
    if unknown:
        console.print(
            f"[red]{escape(fold(sorted(unknown)))}[/]: not known, the check did not come to its end"
        )
    groups: dict[tuple[str, ...], list[NodeDifference]] = {}
    for node in found:
        if node.node in unknown and not node.differs:
            continue
        groups.setdefault(tuple(_lines(node, details)), []).append(node)
    for lines, nodes in groups.items():
        names = fold(node.node for node in nodes)
        if not lines:
            console.print(f"[green]{escape(names)}[/]: no difference")
            continue
        cost = nodes[0].cost
        console.print(f"[bold]{escape(names)}[/]: cost [{'green' if cost == 'none' else 'red'}]{cost}[/]")
        for line in lines:
            console.print(f"  {line}")
    actions = Counter(rank.action for node in found for rank in node.ranks)
    changed = sum(node.differs for node in found)
    said = (
        ", ".join(
            f"{count} {'rank' if count == 1 else 'ranks'} to {action}"
            for action, count in sorted(actions.items())
        )
        or "no rank is touched"
    )
    console.print(f"{changed} of {len(found)} nodes differ; {said}.")


def _lines(node: NodeDifference, details: bool) -> list[str]:
    lines = []
    for layer in node.layers:
        color = "green" if layer.cost == "none" else "red"
        lines += [f"[{color}]{layer.cost}[/]  {layer.layer}: {escape(text)}" for text in layer.will]
        lines += [f"[yellow]waits[/]  {layer.layer}: {escape(text)}" for text in layer.pending]
    for change in node.changes:
        things = f": {', '.join(change.what)}" if change.what else ""
        lines.append(f"[yellow]change[/]  {escape(change.task + things)}")
        if details and change.diff:
            lines += [f"    {_color(text)}" for text in change.diff.splitlines()]
    for rank in node.ranks:
        color = "green" if rank.action == "start" else "red"
        lines.append(f"[{color}]{rank.action}[/]  {escape(rank.name)}: {escape(rank.reason)}")
    return lines


def _color(text: str) -> str:
    color = {"+": "green", "-": "red", "@": "cyan"}.get(text[:1])
    return f"[{color}]{escape(text)}[/]" if color else escape(text)
