"""What a node remembers of drains: its own, and which of its ranks wait for which drained nodes.

A replica cannot serve with a rank missing, so a drain holds all ranks of a replica, on all its nodes. Both
records are conditions of the units (``rank.service.j2``), so that a boot starts nothing that is held.
"""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

from ansible_collections.nimctl.multinode.plugins.module_utils.files import (
    STATE,
    make_folders,
    read,
    remove_if_empty,
    write_atomic,
)


class Drains:
    """The records of one cluster on this node."""

    def __init__(self, cluster: str, check: bool = False, state: Path = STATE) -> None:
        self.folder = state / cluster
        self.check = check

    @property
    def _record(self) -> Path:
        return self.folder / "drained"

    def record(self) -> dict[str, Any] | None:
        """Who drained this node, since when and why; None where it is not drained."""
        text = read(self._record)
        if text is None:
            return None
        try:
            found = json.loads(text)
        except ValueError:
            found = {}
        # A record that a person wrote by hand, or `touch` made, still is one: the units obey it.
        return {
            "by": "",
            "since": 0,
            "why": "",
            "kind": "drain",
            **(found if isinstance(found, dict) else {}),
        }

    def drain(self, record: Mapping[str, Any]) -> bool:
        """Note a drain; a person's own is kept as it is. Returns whether there is something new."""
        present = self.record()
        if present and (present["kind"] == "drain" or record["kind"] == "change"):
            return False
        if not self.check:
            write_atomic(self._record, json.dumps(dict(record), sort_keys=True) + "\n", 0o644)
        return True

    def undrain(self, kinds: Iterable[str]) -> bool:
        """Forget a drain of one of these kinds; returns whether there was one."""
        present = self.record()
        if present is None or present["kind"] not in kinds:
            return False
        if not self.check:
            self._record.unlink()
        return True

    def held(self, rank: str) -> list[str]:
        """The drained nodes for which a rank is held; empty for one that may run."""
        return sorted((read(self.folder / "held" / rank) or "").split())

    def hold(self, rank: str, nodes: Iterable[str], *, others: bool = True) -> bool:
        """Hold a rank for these nodes, besides or (``others`` False) instead of those noted before."""
        before = self.held(rank)
        return self._write(rank, before, sorted({*nodes, *(before if others else [])}))

    def release(self, rank: str, nodes: Iterable[str] | None = None) -> bool:
        """Hold a rank no longer for these nodes (None: for any); returns whether that is new."""
        before = self.held(rank)
        return self._write(rank, before, [] if nodes is None else sorted({*before} - {*nodes}))

    def holds(self, rank: str) -> bool:
        """Whether a rank may not run."""
        return self._record.exists() or bool(self.held(rank))

    def ranks(self) -> list[str]:
        """The ranks that are held."""
        folder = self.folder / "held"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def _write(self, rank: str, before: list[str], after: list[str]) -> bool:
        if before == after or self.check:
            return before != after
        path = self.folder / "held" / rank
        if after:
            write_atomic(path, "".join(f"{node}\n" for node in after), 0o644)
        else:
            path.unlink()
            remove_if_empty([str(path.parent)])
        return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others out: several drained nodes may have ranks of theirs held on this one."""
        if self.check:
            yield
            return
        make_folders(self.folder)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def told(node: str, record: Mapping[str, Any]) -> str:
    """A drain in words: ``gpu02 is drained by ann@desk since 2026-11-24 03:10 (fan replaced)``."""
    by = f" by {record['by']}" if record.get("by") else ""
    when = record.get("since") or 0
    since = f" since {time.strftime('%Y-%m-%d %H:%M', time.localtime(when))}" if when else ""
    why = f" ({record['why']})" if record.get("why") else ""
    return f"{node} is drained{by}{since}{why}"
