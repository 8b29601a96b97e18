"""``nimctl validate``: every problem of a description at once, or what it describes."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import typer
from rich.markup import escape

from nimctl.cli.app import FormatOption, InventoryOption, messages, print_json
from nimctl.description.named_files import missing
from nimctl.errors import DescriptionError, Problem, RejectedError, field_name
from nimctl.inventory import read
from nimctl.placement import Placement
from nimctl.run import collection
from nimctl.stack.coverage import without_role

CONTRACTS = "contracts"
"""The folder beside a description in which a user's own contracts lie."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(validate)


def validate(inventory: InventoryOption, format: FormatOption = "text") -> None:  # noqa: A002 - --format
    """Check a description without contacting a host: all its problems, or a summary of what it describes.

    Each problem begins with file, line and column. Exit code 0: it holds; 2: it does not.
    """
    if format not in ("text", "json"):
        raise RejectedError(f"--format {format}: expected text or json")
    try:
        placement = read(inventory)
    except DescriptionError as error:
        _reject(error.problems, as_json=format == "json")
        raise typer.Exit(error.exit_code) from None
    if format == "json":
        print_json(summary(placement))
    else:
        _show(placement)


def _reject(problems: tuple[Problem, ...], *, as_json: bool) -> None:
    if as_json:
        print_json({"valid": False, "problems": [_as_json(problem) for problem in problems]})
        return
    for problem in problems:
        sys.stdout.write(f"{line(problem)}\n")
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    messages.print(f"{count}; no host was contacted")


def line(problem: Problem) -> str:
    """``cluster.yml:LINE:COLUMN: FIELD: MESSAGE``, with the name of the file within its folder."""
    name = problem.file.name if problem.file else "cluster.yml"
    if problem.file and problem.file.parent.name == CONTRACTS:
        name = f"{CONTRACTS}/{name}"
    place = f"{name}:{max(problem.line, 1)}:{max(problem.column, 1)}"
    return f"{place}: {field_name(problem.field)}{problem.message}"


def _as_json(problem: Problem) -> dict[str, Any]:
    return {
        "file": str(problem.file) if problem.file else None,
        "line": problem.line,
        "column": problem.column,
        "field": list(problem.field),
        "message": problem.message,
    }


def summary(placement: Placement) -> dict[str, Any]:
    """What a description describes, as ``--format json`` prints it."""
    cluster = placement.cluster
    addresses = {node.name: node.address for node in cluster.nodes}
    ranks = Counter(rank.deployment for rank in placement.ranks)
    replicas = Counter(rank.deployment for rank in placement.ranks if rank.rank == 0)
    gpus = Counter({rank.deployment: 0 for rank in placement.ranks})
    for rank in placement.ranks:
        gpus[rank.deployment] += len(rank.gpus)
    return {
        "valid": True,
        "cluster": cluster.name,
        "nodes": sum(not node.absent for node in cluster.nodes),
        "absent_nodes": sum(node.absent for node in cluster.nodes),
        "gpus": sum(node.gpu_count for node in cluster.nodes if not node.absent),
        "deployments": [
            {
                "name": deployment.name,
                "model": deployment.model,
                "engine": deployment.engine,
                "contract": placement.contracts.get(deployment.name, deployment.contract),
                "contract_inferred": deployment.contract is None,
                "replicas": replicas[deployment.name],
                "ranks": ranks[deployment.name],
                "gpus": gpus[deployment.name],
                "endpoints": [
                    f"http://{_host(addresses[rank.node])}:{rank.ports['api']}/v1"
                    for rank in placement.ranks
                    if rank.deployment == deployment.name and rank.rank == 0 and "api" in rank.ports
                ],
            }
            for deployment in cluster.deployments
        ],
        "notes": [*placement.notes, *missing(cluster), *without_role(placement, collection.find().root)],
        "problems": [],
    }


def _host(address: str) -> str:
    """An address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def _show(placement: Placement) -> None:
    found = summary(placement)
    absent = f" and {found['absent_nodes']} absent" if found["absent_nodes"] else ""
    typer.echo(
        f"{found['cluster']}: {_count(found['nodes'], 'node')}{absent}, {_count(found['gpus'], 'GPU')}, "
        f"{_count(len(found['deployments']), 'deployment')}"
    )
    for deployment in found["deployments"]:
        inferred = " (inferred)" if deployment["contract_inferred"] else ""
        typer.echo(
            f"  {deployment['name']}: {deployment['model']}, engine {deployment['engine']}, "
            f"contract {deployment['contract']}{inferred}; {_count(deployment['replicas'], 'replica')}, "
            f"{_count(deployment['ranks'], 'rank')}, {_count(deployment['gpus'], 'GPU')}"
        )
    for note in found["notes"]:
        messages.print(f"[yellow]note:[/yellow] {escape(note)}", soft_wrap=True)


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number:,} {what}s"
