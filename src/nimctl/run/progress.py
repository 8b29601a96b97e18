"""How far a run is: per node and stage, computed from events. Knows nothing of terminals."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from nimctl.run.events import Event, message
from nimctl.run.names import fold

CONTROLLER = "localhost"
OWN_MODULES = "nimctl.multinode."
PLAN_MODULE = "nimctl.multinode.stack_plan"
SUMMARY = "nimctl.multinode.pending"
State = Literal["waiting", "working", "ok", "failed", "unreachable"]


@dataclass
class Node:
    """What one node is doing and what it has done."""

    name: str
    state: State = "waiting"
    task: str = ""
    ok: int = 0
    changed: int = 0
    failed: int = 0
    skipped: int = 0
    unreachable: int = 0


@dataclass
class Stage:
    """One play: its name, when it started (seconds of the clock), how long it took, what it changed."""

    name: str
    started: float
    seconds: float | None = None
    changed: int = 0
    failed: int = 0
    cut_short: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one task failed, on every node where it failed for the same reason."""

    stage: str
    task: str
    message: str
    nodes: tuple[str, ...]
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One task that changed (in check mode: would change) these nodes, with each node's result."""

    stage: str
    task: str
    action: str
    results: dict[str, dict[str, Any]]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that it changed."""
        return tuple(self.results)


@dataclass(frozen=True, slots=True)
class Note:
    """Something to say while the run goes on: a stage began, a task changed nodes or failed, a warning."""

    kind: Literal["stage", "will", "changed", "failed", "retry", "warning"]
    stage: str = ""
    task: str = ""
    text: str = ""
    nodes: tuple[str, ...] = ()


class Progress:
    """Follows a run event by event.

    ``apply`` returns what is worth saying. What several nodes report about one task is collected and said
    once, when the next task begins.
    """

    def __init__(self, nodes: Iterable[str] = (), clock: Callable[[], float] = time.monotonic) -> None:
        self.nodes: dict[str, Node] = {name: Node(name) for name in nodes}
        self.stages: list[Stage] = []
        self.changes: list[Change] = []
        self.failures: list[Failure] = []
        self.warnings: list[str] = []
        self.errors: list[str] = []
        self.output: list[str] = []
        self._pending: dict[str, list[str]] = {}
        self.task = ""
        self.tasks = 0
        self.started = clock()
        self._clock = clock
        self._changed: dict[str, tuple[str, dict[str, Any]]] = {}
        self._failed: dict[tuple[str, bool], list[str]] = {}
        self._will: dict[str, list[str]] = {}

    @property
    def contacted(self) -> bool:
        """Whether any task ran on any node."""
        return self.tasks > 0

    @property
    def stage(self) -> str:
        """The name of the stage that is running."""
        return self.stages[-1].name if self.stages else ""

    @property
    def pending(self) -> list[str]:
        """What still waits, such as a restart that would have stopped ranks, with the nodes where it does."""
        return [f"{fold(hosts)}: {reason}" for reason, hosts in self._pending.items()]

    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self.started

    def apply(self, event: Event) -> list[Note]:
        """Take in one event."""
        notes: list[Note] = []
        if event.kind == "play":
            notes += self._flush()
            if event.play == self.stage:
                return notes  # the next batch of a play with `serial`
            self._end_stage()
            self.stages.append(Stage(event.play, self._clock()))
            notes.append(Note("stage", stage=self.stage))
        elif event.kind == "task":
            notes += self._flush()
            self.task = event.task
        elif event.kind in ("warning", "error", "output"):
            notes += self._say(event)
        elif event.kind == "stats":
            notes += self._flush()
            self._end_stage()
        elif event.host:
            notes += self._host(event)
        return notes

    def finish(self) -> list[Note]:
        """Say what is still collected when no more events come; a stage that still goes on was cut short."""
        notes = self._flush()
        if self.stages and self.stages[-1].seconds is None:
            self.stages[-1].cut_short = True
        self._end_stage()
        return notes

    def _host(self, event: Event) -> list[Note]:
        # What runs on the controller itself is no node's work, but its failures count.
        local = event.host == CONTROLLER and CONTROLLER not in self.nodes
        node = Node(event.host) if local else self.nodes.setdefault(event.host, Node(event.host))
        node.task = event.task or self.task
        if event.kind == "started":
            self.tasks += not local
            node.state = "working"
        elif event.kind == "ok":
            node.ok += 1
            node.state = "ok"
            if event.action.startswith(OWN_MODULES):
                for reason in event.result.get("pending") or []:
                    self._note_pending(event, str(reason))
            if event.action == PLAN_MODULE:
                for layer, plan in (event.result.get("plans") or {}).items():
                    for sentence in plan["will"]:
                        self._will.setdefault(f"{layer}: {sentence}", []).append(event.host)
            if event.changed:
                node.changed += 1
                self._changed[event.host] = (event.action, dict(event.result))
        elif event.kind == "skipped":
            node.skipped += 1
            node.state = "ok"
        elif event.kind == "retry":
            return [Note("retry", self.stage, node.task, nodes=(event.host,))]
        elif event.tolerated:
            node.state = "ok"
        else:
            node.failed += event.kind == "failed"
            node.unreachable += event.kind == "unreachable"
            node.state = "unreachable" if event.kind == "unreachable" else "failed"
            self._failed.setdefault((message(event.result), event.kind == "unreachable"), []).append(
                event.host
            )
        return []

    def _note_pending(self, event: Event, reason: str) -> None:
        """Once for each node: the summary at the end says again, with the node before it, what nodes said."""
        host = event.host
        if event.action == SUMMARY:
            host, _, reason = reason.partition(": ")
        hosts = self._pending.setdefault(reason, [])
        if host not in hosts:
            hosts.append(host)

    def _flush(self) -> list[Note]:
        notes = [
            Note("will", self.stage, self.task, text, tuple(hosts)) for text, hosts in self._will.items()
        ]
        self._will = {}
        if self._changed:
            action = next(iter(self._changed.values()))[0]
            results = {host: result for host, (_, result) in self._changed.items()}
            self.changes.append(Change(self.stage, self.task, action, results))
            if self.stages:
                self.stages[-1].changed += len(results)
            notes.append(Note("changed", self.stage, self.task, nodes=tuple(results)))
        for (text, unreachable), hosts in self._failed.items():
            self.failures.append(Failure(self.stage, self.task, text, tuple(hosts), unreachable))
            if self.stages:
                self.stages[-1].failed += len(hosts)
            notes.append(Note("failed", self.stage, self.task, text, tuple(hosts)))
        self._changed = {}
        self._failed = {}
        return notes

    def _say(self, event: Event) -> list[Note]:
        if event.kind == "output":
            self.output = [*self.output, event.text][-12:]
            if "error:" in event.text.lower():
                self.errors.append(event.text.strip())
            return []
        if event.kind == "error":
            self.errors.append(event.text.removeprefix("[ERROR]:").strip())
            return []
        text = event.text.removeprefix("[WARNING]:").strip()
        if text in self.warnings:
            return []
        self.warnings.append(text)
        return [Note("warning", self.stage, self.task, text)]

    def _end_stage(self) -> None:
        if self.stages and self.stages[-1].seconds is None:
            self.stages[-1].seconds = self._clock() - self.stages[-1].started
