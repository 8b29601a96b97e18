"""Run records: what a run did, kept on the controller under ``.nimctl/runs``, without secrets.

A record is a folder ``<UTC time>-<verb>-<id>`` (0700) with ``events.jsonl``, one compact event in a line,
and ``summary.json`` (both 0600). The newest ``KEPT`` records are kept.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from nimctl.errors import NimctlError
from nimctl.run.events import Event, message
from nimctl.run.redact import Redactor

KEPT = 20
SUMMARY = "summary.json"
EVENTS = "events.jsonl"

_WORTH_KEEPING = ("names", "reasons", "removed", "paths", "images", "did", "pending", "ready", "rc")
"""Keys of a module's result that an event carries along; everything else of a result is left out."""


@dataclass
class Record:
    """One run record that is being written; ``folder`` is where."""

    folder: Path
    redactor: Redactor
    _stream: TextIO | None = None

    @classmethod
    def open(cls, runs: Path, verb: str, redactor: Redactor) -> Record:
        """Start a new record below ``runs`` and remove the oldest ones.

        Raises:
            NimctlError: the folder cannot be written.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3]
        folder = runs / f"{stamp}Z-{verb}-{secrets.token_hex(2)}"
        try:
            for level in (runs.parent, runs, folder):
                level.mkdir(mode=0o700, parents=True, exist_ok=True)
            stream = _private(folder / EVENTS)
        except OSError as error:
            raise NimctlError(
                f"The record of this run cannot be written to {folder}: {error.strerror}; "
                "choose another place with --run-dir"
            ) from error
        prune(runs, KEPT)
        return cls(folder, redactor, stream)

    def event(self, event: Event) -> None:
        """Add one event, reduced and redacted."""
        if self._stream is not None:
            self._stream.write(
                json.dumps(self.redactor.data(compact(event)), separators=(",", ":"), default=str) + "\n"
            )
            self._stream.flush()

    def close(self, summary: Mapping[str, Any]) -> None:
        """Write the summary and end the record."""
        if self._stream is None:
            return
        self._stream.close()
        self._stream = None
        with _private(self.folder / SUMMARY) as stream:
            json.dump(self.redactor.data(summary), stream, indent=2, default=str)
            stream.write("\n")


def compact(event: Event) -> dict[str, Any]:
    """The part of an event that is worth keeping; empty values are left out."""
    line: dict[str, Any] = {
        "time": event.time,
        "kind": event.kind,
        "play": event.play,
        "task": event.task,
        "action": event.action,
        "host": event.host,
        "text": event.text,
    }
    if event.kind == "ok":
        line["changed"] = event.changed
    if event.kind in ("failed", "unreachable"):
        line["message"] = message(event.result)
        line["tolerated"] = event.tolerated
    if event.kind == "stats":
        keys = ("ok", "changed", "failures", "dark", "skipped", "rescued", "ignored")
        line["stats"] = {key: event.result[key] for key in keys if event.result.get(key)}
    elif "censored" not in event.result:
        line["result"] = {key: event.result[key] for key in _WORTH_KEEPING if key in event.result}
    return {key: value for key, value in line.items() if value not in ("", None, {})}


def prune(runs: Path, kept: int) -> None:
    """Remove the oldest records of finished runs, so that ``kept`` remain.

    A record without a summary belongs to a run that still goes on, or died; it goes when it is not among
    the newest twice ``kept``.
    """
    folders = sorted(
        (path for path in runs.iterdir() if path.is_dir() and (path / EVENTS).exists()), reverse=True
    )
    for position, folder in enumerate(folders):
        if position >= 2 * kept or (position >= kept and (folder / SUMMARY).exists()):
            shutil.rmtree(folder)


def _private(path: Path) -> TextIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8")
