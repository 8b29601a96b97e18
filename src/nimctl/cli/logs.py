"""``nimctl logs``: what the ranks write, merged."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from nimctl.cli.app import InventoryOption, messages
from nimctl.cli.options import DeploymentArgument, complete_rank
from nimctl.errors import DONE, FAILED, RejectedError
from nimctl.run import connection, journal
from nimctl.run.journal import Line, Trouble
from nimctl.run.target import load

COLORS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command()(logs)


def logs(
    inventory: InventoryOption,
    deployment: DeploymentArgument = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    rank: Annotated[
        str | None,
        typer.Option(help="Only this rank, e.g. r1-0-1.", autocompletion=complete_rank),
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Not older than this: 10m, 2h, or a time as journalctl takes it.")
    ] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Lines of each rank.", min=0)] = 50,
) -> None:
    """Show the logs of ranks, leaders and workers, merged by time; each line says its rank.

    They are read from the journals of the nodes over SSH. Exit codes: 0 done, 1 a journal could not be read,
    2 rejected.
    """
    target = load(inventory)
    ranks = target.ranks(deployment, rank)
    if not ranks:
        messages.print("The description has no deployments, so there are no logs.")
        return
    if follow and len(ranks) > journal.AT_ONCE:
        raise RejectedError(
            f"{len(ranks)} ranks are too many to follow at once (at most {journal.AT_ONCE}); "
            "name a deployment or use --rank"
        )
    settings = connection.variables(target, [item.node for item in ranks])
    printer = _Printer([item.name for item in ranks])
    if not follow:
        found, troubles = journal.recent(ranks, settings, lines=lines, since=since)
        for line in found:
            printer.show(line)
        for trouble in troubles:
            printer.show(trouble)
        raise typer.Exit(FAILED if troubles else DONE)
    with journal.Follower(ranks, settings, lines=lines, since=since) as follower:
        try:
            for arrived in follower:
                printer.show(arrived)
        except KeyboardInterrupt:
            return
    raise typer.Exit(FAILED)


class _Printer:
    """Writes lines with the rank before them, in a colour of its own on a terminal."""

    def __init__(self, names: Iterable[str]) -> None:
        names = list(names)
        self._console = Console(highlight=False, soft_wrap=True)
        self._width = max(len(name) for name in names)
        self._colors = {name: COLORS[place % len(COLORS)] for place, name in enumerate(names)}

    def show(self, item: Line | Trouble) -> None:
        """Print one line of a log, or what kept us from reading it."""
        if isinstance(item, Trouble):
            messages.print(
                f"{item.rank} on {item.node}: the journal cannot be read: {item.text}",
                style="red",
                markup=False,
                soft_wrap=True,
            )
            return
        moment = datetime.fromtimestamp(item.time / 1e6).astimezone()
        text = Text(f"{item.rank:{self._width}} ", self._colors[item.rank])
        text.append(f"{moment:%H:%M:%S} ", "dim")
        self._console.print(text.append_text(Text.from_ansi(item.text)))
