"""Options and small habits that the verbs which contact nodes share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from nimctl.cli.app import messages
from nimctl.errors import NimctlError, RejectedError
from nimctl.run import collection
from nimctl.run.session import RUNS
from nimctl.run.target import Target, load
from nimctl.stack.coverage import without_role

RunDirOption = Annotated[
    Path, typer.Option("--run-dir", help="Folder for run records.", show_default=True, file_okay=False)
]
LimitOption = Annotated[
    str | None,
    typer.Option("--limit", metavar="NODES", help="Only these nodes, as ansible-playbook --limit."),
]
AnsibleArguments = Annotated[
    list[str] | None,
    typer.Argument(metavar="[-- ARGUMENTS]", help="After --: arguments for ansible-playbook, untouched."),
]
DEFAULT_RUNS = RUNS
WIDE = 1000


def _folder(context: typer.Context) -> Path | None:
    value = context.params.get("inventory")
    return Path(value) if value else None


def complete_deployment(context: typer.Context, incomplete: str) -> list[str]:
    """Names of deployments for the shell; none where the description cannot be read."""
    return [name for name in _names(context, "deployment") if name.startswith(incomplete)]


def complete_rank(context: typer.Context, incomplete: str) -> list[str]:
    """Names of ranks for the shell; none where the description cannot be read."""
    return [name for name in _names(context, "rank") if name.startswith(incomplete)]


def complete_node(context: typer.Context, incomplete: str) -> list[str]:
    """Names of nodes for the shell; none where the description cannot be read."""
    return [name for name in _names(context, "node") if name.startswith(incomplete)]


def _names(context: typer.Context, what: str) -> list[str]:
    folder = _folder(context)
    if folder is None:
        return []
    try:
        target = load(folder)
    except NimctlError:
        return []  # a completion that fails must not disturb the prompt
    if what == "node":
        return list(target.nodes)
    if what == "rank":
        return [rank.name for rank in target.placement.ranks]
    return [deployment.name for deployment in target.placement.cluster.deployments]


NodesArgument = Annotated[
    list[str],
    typer.Argument(metavar="NODES...", help="Node sets such as gpu[01-04].", autocompletion=complete_node),
]
AllowGapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-gap",
        metavar="DEPLOYMENT",
        help="May be without a serving replica meanwhile; can be given several times.",
        autocompletion=complete_deployment,
    ),
]
DeploymentArgument = Annotated[
    str | None,
    typer.Argument(metavar="[DEPLOYMENT]", help="Only this deployment.", autocompletion=complete_deployment),
]


def results() -> Console:
    """Where tables go: stdout; where that is no terminal as wide as they are, so that nothing is cut off."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDE)


def json_wanted(output: str) -> bool:
    """Whether --format asks for JSON.

    Raises:
        RejectedError: it asks for something else than text or json.
    """
    if output not in ("text", "json"):
        raise RejectedError(f"--format {output} is not known; it is text or json")
    return output == "json"


def ansible_arguments(arguments: Sequence[str] | None) -> list[str]:
    """The arguments after ``--``.

    Raises:
        RejectedError: one stands where an option of ansible-playbook should begin, most likely a folder
            without ``-i`` before it.
    """
    words = list(arguments or [])
    if words and not words[0].startswith("-"):
        hint = f"nimctl ... -i {words[0]}" if Path(words[0]).is_dir() else "see --help"
        raise RejectedError(f"Unexpected argument {words[0]}; did you mean an option? ({hint})")
    return words


def nodes_and_arguments(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Node sets, and the arguments for ansible-playbook that follow them after ``--``."""
    first = next((index for index, word in enumerate(words) if word.startswith("-")), len(words))
    if not first:
        raise RejectedError(f"{' '.join(words)}: expected node sets such as gpu[01-04] first")
    return list(words[:first]), list(words[first:])


def show_notes(target: Target) -> None:
    """Print the remarks on a placement, such as an inferred contract."""
    uncovered = without_role(target.placement, collection.find().root)
    for note in (*target.placement.notes, *uncovered):
        messages.print(f"note: {note}", style="dim", markup=False, soft_wrap=True)
