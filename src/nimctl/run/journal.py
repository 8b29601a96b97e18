"""The logs of ranks, read from the journals of their nodes and merged."""

from __future__ import annotations

import json
import queue
import re
import shlex
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from nimctl.placement import Rank
from nimctl.run.connection import command

AT_ONCE = 64
"""Connections at a time."""
RELATIVE = re.compile(r"^\d+(s|m|min|h|d)$")


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One line of a rank's log; ``time`` in microseconds since 1970."""

    time: int
    rank: str
    text: str


@dataclass(frozen=True, slots=True)
class Trouble:
    """A node whose journal could not be read, and what it said."""

    rank: str
    node: str
    text: str


def words(rank: Rank, *, lines: int, since: str | None, follow: bool) -> list[str]:
    """The command that reads one rank's journal on its node, one JSON object in a line.

    ``since`` is what journalctl takes, or an age such as ``10m``.
    """
    read = ["journalctl", "--no-pager", "--output=json", "--output-fields=MESSAGE", f"--lines={lines}"]
    if since:
        read.append(f"--since=-{since}" if RELATIVE.match(since) else f"--since={since}")
    # What the rank wrote, and what systemd did with its unit. Not --unit: under podman the lines of a rank
    # belong to the scope of its container, and to the unit only those of podman itself.
    which = [f"SYSLOG_IDENTIFIER=nim-{rank.name}", "+", f"UNIT=nim-{rank.name}.service"]
    if not follow:
        return [*read, *which]
    # A journalctl that follows a silent log would never notice that nobody reads it any more: it is ended
    # when the connection, and with it standard input, closes.
    return ["sh", "-c", f"{shlex.join([*read, '--follow', *which])} & cat >/dev/null; kill $!"]


def parse(rank: str, text: str) -> Line | None:
    """Read one line of ``journalctl --output=json``; None for what is no log line."""
    try:
        entry = json.loads(text)
        moment = int(entry["__REALTIME_TIMESTAMP"])
    except (ValueError, KeyError, TypeError):
        return None
    content = entry.get("MESSAGE")
    if isinstance(content, list):  # bytes that are not UTF-8
        content = bytes(content).decode("utf-8", "replace")
    return Line(moment, rank, "" if content is None else str(content))


def recent(
    ranks: Sequence[Rank], settings: Mapping[str, Mapping[str, Any]], *, lines: int, since: str | None
) -> tuple[list[Line], list[Trouble]]:
    """The last lines of each rank, merged by time."""

    def one(rank: Rank) -> tuple[list[Line], Trouble | None]:
        answer = subprocess.run(  # noqa: S603 - ssh with arguments of the inventory, no local shell
            command(rank.node, settings[rank.node], words(rank, lines=lines, since=since, follow=False)),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        found = [line for text in answer.stdout.splitlines() if (line := parse(rank.name, text))]
        if answer.returncode:
            said = answer.stderr.strip() or f"exit code {answer.returncode}"
            return found, Trouble(rank.name, rank.node, said)
        return found, None

    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(one, ranks))
    merged = sorted((line for found, _ in answers for line in found), key=lambda line: line.time)
    return merged, [trouble for _, trouble in answers if trouble]


class Follower:
    """Follows the logs of several ranks until it is closed; a context manager."""

    def __init__(
        self,
        ranks: Iterable[Rank],
        settings: Mapping[str, Mapping[str, Any]],
        *,
        lines: int,
        since: str | None,
    ) -> None:
        self._ranks = list(ranks)
        self._settings = settings
        self._lines = lines
        self._since = since
        self._queue: queue.Queue[Line | Trouble] = queue.Queue()
        self._processes: list[subprocess.Popen[str]] = []
        self._closing = False

    def __enter__(self) -> Follower:
        for rank in self._ranks:
            line = command(
                rank.node,
                self._settings[rank.node],
                words(rank, lines=self._lines, since=self._since, follow=True),
            )
            process = subprocess.Popen(  # noqa: S603 - as above
                line,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # Ctrl-C ends them through us
            )
            self._processes.append(process)
            threading.Thread(target=self._pump, args=(rank, process), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait()

    def __iter__(self) -> Iterator[Line | Trouble]:
        """Lines as they come; ends when every connection has ended by itself."""
        left = len(self._processes)
        while left:
            item = self._queue.get()
            left -= isinstance(item, Trouble)
            yield item

    def _pump(self, rank: Rank, process: subprocess.Popen[str]) -> None:
        if process.stdout is None or process.stderr is None:
            return
        for text in process.stdout:
            line = parse(rank.name, text)
            if line:
                self._queue.put(line)
        said = process.stderr.read().strip() or f"the connection ended with exit code {process.wait()}"
        if not self._closing:
            self._queue.put(Trouble(rank.name, rank.node, said))
