"""Progress on a terminal (a live table) and in a pipe (plain lines with the time of day)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from nimctl.run.names import fold
from nimctl.run.progress import Node, Note, Progress

COLORS = {"waiting": "dim", "working": "cyan", "ok": "green", "failed": "red", "unreachable": "red"}
SCREEN_MARGIN = 12
"""Lines of a terminal that are not for nodes: stages, headings and what scrolls by above."""


class Display(Protocol):
    """What shows a run while it goes on; a context manager."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, progress: Progress, notes: Iterable[Note]) -> None:
        """Show the state and say what is new."""


def duration(seconds: float) -> str:
    """Seconds as people say them: ``4s``, ``3m05s``, ``1h02m``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02}m"


def say(console: Console, note: Note, *, check: bool, stamp: str = "") -> None:
    """Print one note; failures in full, indented below their heading."""
    verb = "would change" if check else "changed"
    lead = f"{stamp} " if stamp else ""
    where = fold(note.nodes) if note.nodes else ""
    if note.kind == "stage":
        console.print(f"{lead}[bold]{escape(note.stage)}[/]", soft_wrap=True)
    elif note.kind == "changed":
        console.print(f"{lead}  [yellow]{verb}[/] {escape(where)}: {escape(note.task)}", soft_wrap=True)
    elif note.kind == "will":
        console.print(f"{lead}  [cyan]will[/] {escape(where)}: {escape(note.text)}", soft_wrap=True)
    elif note.kind == "retry":
        console.print(f"{lead}  [dim]waiting {escape(where)}: {escape(note.task)}[/]", soft_wrap=True)
    elif note.kind == "warning":
        console.print(f"{lead}  [magenta]warning[/]: {escape(note.text)}", soft_wrap=True)
    else:
        console.print(f"{lead}  [bold red]failed[/] {escape(where)}: {escape(note.task)}", soft_wrap=True)
        for line in note.text.splitlines():
            console.print(f"      {escape(line)}", soft_wrap=True)


class Plain:
    """One line per note; for pipes, logs and CI."""

    def __init__(self, console: Console, *, check: bool = False) -> None:
        self._console = console
        self._check = check

    def __enter__(self) -> Plain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, progress: Progress, notes: Iterable[Note]) -> None:
        """Print what is new."""
        for note in notes:
            if note.kind != "retry":
                say(self._console, note, check=self._check, stamp=f"{datetime.now():%H:%M:%S}")


class Terminal:
    """A table of stages and nodes that is redrawn in place; failures and changes scroll by above it."""

    def __init__(self, console: Console, *, check: bool = False) -> None:
        self._console = console
        self._check = check
        self._progress: Progress | None = None
        self._live = Live(
            console=console,
            get_renderable=self._render,
            refresh_per_second=8,
            transient=True,
            redirect_stderr=False,
        )

    def __enter__(self) -> Terminal:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        if self._progress is not None and self._progress.stages:
            self._console.print(stages(self._progress))

    def show(self, progress: Progress, notes: Iterable[Note]) -> None:
        """Take over the state; the table shows it at the next redraw."""
        self._progress = progress
        for note in notes:
            if note.kind in ("failed", "warning", "will"):
                say(self._console, note, check=self._check)

    def _render(self) -> RenderableType:
        progress = self._progress
        if progress is None or not progress.stages:
            return Spinner("dots", text="reading the description and starting Ansible")
        return Group(
            stages(progress), node_table(progress, max(4, self._console.size.height - SCREEN_MARGIN))
        )


def stages(progress: Progress) -> Table:
    """One line per stage: done or running, how long, what it changed."""
    table = Table.grid(padding=(0, 2))
    for stage in progress.stages[-6:]:
        running = stage.seconds is None
        seconds = (
            progress.elapsed() + progress.started - stage.started if stage.seconds is None else stage.seconds
        )
        mark = "[cyan]●[/]" if running else "[green]✓[/]"
        if stage.failed or stage.cut_short:
            mark = "[red]✗[/]" if stage.failed else "[yellow]■[/]"
        count = f"{stage.changed} changed" if stage.changed else ""
        table.add_row(mark, escape(stage.name), duration(seconds), f"[yellow]{count}[/]")
    return table


def node_table(progress: Progress, rows: int) -> RenderableType:
    """The nodes and what each is doing; where they do not fit, those that need attention and a count."""
    nodes = list(progress.nodes.values())
    shown = nodes
    if len(nodes) > rows:
        shown = sorted(nodes, key=_attention)[: rows - 1]
    table = Table(box=None, pad_edge=False, padding=(0, 2), header_style="dim")
    for heading in ("node", "state", "changed", "task"):
        table.add_column(heading, justify="right" if heading == "changed" else "left", no_wrap=True)
    for node in shown:
        table.add_row(
            escape(node.name),
            Text(node.state, COLORS[node.state]),
            str(node.changed or ""),
            escape(node.task),
        )
    if shown is nodes:
        return table
    counts = {state: sum(node.state == state for node in nodes) for state in COLORS}
    summary = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return Group(table, Text(f"… {len(nodes)} nodes: {summary}", "dim"))


def _attention(node: Node) -> tuple[int, str]:
    order = ("failed", "unreachable", "working", "waiting", "ok")
    return order.index(node.state), node.name


def choose(console: Console, *, check: bool = False) -> Display:
    """The display that suits where the messages go."""
    return Terminal(console, check=check) if console.is_terminal else Plain(console, check=check)
