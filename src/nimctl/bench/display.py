"""How a sweep shows itself while it runs: a bar on a terminal, lines in a pipe."""

from __future__ import annotations

import time
from datetime import datetime
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from nimctl.bench.client import Sample
from nimctl.bench.result import Level
from nimctl.bench.sweep import Watcher

EVERY = 15.0
"""Seconds between two lines of a level in a pipe."""


class Display(Watcher, Protocol):
    """A watcher that is a context manager."""

    def __enter__(self) -> Display: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def one_line(level: Level) -> str:
    """A level in one line."""
    parts = [f"concurrency {level.concurrency}: {level.completed} answers in {level.seconds:.1f} s"]
    if level.ttft_ms:
        parts.append(f"TTFT {level.ttft_ms.p50:.0f} ms")
    if level.tpot_ms:
        parts.append(f"TPOT {level.tpot_ms.p50:.1f} ms")
    if level.tokens_per_second is not None:
        parts.append(f"{level.tokens_per_second:,.0f} tokens/s")
    parts += [f"{count} failed ({kind})" for kind, count in level.errors.items()]
    return ", ".join(parts) + ("" if level.complete else " (not to the end)")


class Plain:
    """Lines with the time of day, for pipes, logs and CI."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._what = ""
        self._done = self._total = 0
        self._said = 0.0

    def __enter__(self) -> Plain:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def begin(self, concurrency: int, requests: int, *, warmup: bool) -> None:
        """Say what begins; a warm-up only counts along."""
        self._what = f"concurrency {concurrency}" + (", warm-up" if warmup else "")
        self._done, self._total, self._said = 0, requests, time.monotonic()
        if not warmup:
            self._say(f"{self._what}: {requests} requests")

    def answered(self, sample: Sample) -> None:
        """Say from time to time how far it is."""
        self._done += 1
        if time.monotonic() - self._said > EVERY:
            self._said = time.monotonic()
            self._say(f"{self._what}: {self._done} of {self._total}")

    def end(self, level: Level) -> None:
        """Say what a level gave."""
        self._say(one_line(level))

    def _say(self, text: str) -> None:
        self._console.print(f"{datetime.now():%H:%M:%S} {text}", markup=False, soft_wrap=True)


class Terminal:
    """A bar for the level that runs; those that are done scroll by above it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(),
            TextColumn("[red]{task.fields[failed]}"),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._failed = 0

    def __enter__(self) -> Terminal:
        self._progress.start()
        self._task = self._progress.add_task("asking the endpoint what it serves", total=None, failed="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, concurrency: int, requests: int, *, warmup: bool) -> None:
        """Start the bar anew."""
        if self._task is not None:
            self._progress.remove_task(self._task)
        what = f"concurrency {concurrency}" + (", warm-up" if warmup else "")
        self._failed = 0
        self._task = self._progress.add_task(what, total=requests, failed="")

    def answered(self, sample: Sample) -> None:
        """Move the bar."""
        if self._task is None:
            return
        self._failed += sample.error is not None
        self._progress.update(self._task, advance=1, failed=f"{self._failed} failed" if self._failed else "")

    def end(self, level: Level) -> None:
        """Print the level above the bar."""
        mark = "[red]✗[/]" if level.errors else "[green]✓[/]"
        self._progress.console.print(f"{mark} {escape(one_line(level))}", soft_wrap=True)


def choose(console: Console) -> Display:
    """The display that suits where the messages go."""
    return Terminal(console) if console.is_terminal else Plain(console)
