"""A replica on a simulated clock: real supervisors, made-up units, links and engine.

The engine behaves as vLLM was seen to: it forms a group of the ranks that start together, loads, and serves.
When a rank is gone, rank 0 stays up and its health check answers, but no completion comes; a rank that is
started alone joins nothing.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

FILE = Path(__file__).parents[3] / "roles" / "nim_rank" / "files" / "supervise.py"


def load() -> ModuleType:
    """The script as a module."""
    name = "nimctl_supervise"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, FILE)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


supervise = load()
TICK: float = supervise.TICK
SERIAL = itertools.count(1)


@dataclass
class Unit:
    """A rank's unit: an order to start or end it takes a moment."""

    up: bool = False
    invocation: str = ""
    began: float = 0.0
    starts: list[float] = field(default_factory=list)

    def start(self, now: float) -> None:
        if not self.up:
            self.up, self.invocation, self.began = True, f"i{next(SERIAL)}", now
            self.starts.append(now)

    def end(self) -> None:
        self.up = False

    def look(self) -> object:
        return supervise.Own(self.up, self.invocation if self.up else "")


class Replica:
    """The nodes of one replica, their supervisors and the network between them."""

    def __init__(
        self,
        nodes: int = 2,
        cold: float = 20.0,
        load: Callable[[float], bool] = lambda _: False,
        **rules: float,
    ) -> None:
        self.now = 1000.0
        self.nodes, self.cold, self.load = nodes, cold, load
        self.rules = supervise.Rules(**{"deadline": cold * 3 + 60, **rules})
        self.units = {rank: Unit() for rank in range(nodes)}
        self.members = {rank: f"gpu{rank:02d}" for rank in range(1, nodes)}
        self.reports: dict[int, object] = {}
        self.cut: set[int] = set()
        self.down: set[int] = set()
        self.unsupervised: set[int] = set()
        self.broken: Callable[[], bool] = lambda: False
        self.hung = False
        self.stalled: Callable[[float], bool] = lambda _: False
        self.progress = 0.0
        self.group: dict[int, str] = {}
        self.ready_at = 0.0
        self.asked: list[tuple[float, float]] = []
        self.questions = 0
        self.states: list[tuple[float, str]] = []
        self.kept: dict[int, dict[str, object]] = {rank: {} for rank in range(nodes)}
        self.leader = self._leader()
        self.workers = {rank: self._worker(rank) for rank in self.members}
        self.answers: dict[int, object] = dict.fromkeys(self.members)

    def _leader(self) -> object:
        leader = supervise.Leader(self.rules, self.members)
        leader.resume(self.now, self.units[0].look(), self.kept[0])
        return leader

    def _worker(self, rank: int) -> object:
        worker = supervise.Worker(self.rules)
        worker.resume(self.now, self.units[rank].look(), self.kept[rank])
        return worker

    # --- what happens to it

    def kill(self, rank: int) -> None:
        """The rank's process is gone."""
        self.units[rank].end()

    def power(self, rank: int, on: bool) -> None:
        """A node goes, or comes back with its supervisor and without its rank."""
        if not on:
            self.units[rank].end()
            self.down.add(rank)
            return
        self.down.discard(rank)
        self.restart_supervisor(rank)

    def restart_supervisor(self, rank: int) -> None:
        if rank == 0:
            self.leader = self._leader()
            self.reports = {}
        else:
            self.workers[rank] = self._worker(rank)
            self.answers[rank] = None

    # --- the engine

    @property
    def healthy(self) -> bool:
        """Whether the ranks that formed the group are the ones that run."""
        return bool(self.group) and all(
            self.units[rank].up and self.units[rank].invocation == invocation
            for rank, invocation in self.group.items()
        )

    @property
    def serves(self) -> bool:
        return self.healthy and not self.hung and self.now >= self.ready_at

    def _engine(self) -> None:
        if self.healthy or not all(unit.up for unit in self.units.values()):
            return
        invocations = {rank: unit.invocation for rank, unit in self.units.items()}
        if not self.group or all(self.group[rank] != new for rank, new in invocations.items()):
            # Started together, and rank 0 first.
            assert self.units[0].began <= min(unit.began for unit in self.units.values())
            self.group, self.hung = invocations, self.broken()
            self.ready_at = self.now + self.cold

    def _signs(self) -> object:
        up = self.units[0].up and bool(self.group) and self.units[0].invocation == self.group[0]
        if not up or self.now < self.ready_at:
            answered = None
            self.asked = [(0.0, end) for _, end in self.asked]
        if self.serves and self.load(self.now) and not self.stalled(self.now):
            self.progress += TICK
        answered = None
        for question in list(self.asked):
            due, end = question
            if self.serves and due and self.now >= due and not self.stalled(self.now):
                answered = True
                self.progress += 1
            elif self.now >= end:
                answered = False
            else:
                continue
            self.asked.remove(question)
        return supervise.Signs(
            ready=up and self.now >= self.ready_at,
            progress=self.progress if up else None,
            answered=answered,
        )

    # --- time

    def run(self, seconds: float) -> Replica:
        """Let so much time pass."""
        end = self.now + seconds
        while self.now < end:
            self.step()
        return self

    def until(self, what: Callable[[], bool], most: float) -> float:
        """Let time pass until something is so; the seconds that took."""
        began = self.now
        while not what():
            self.step()
            assert self.now - began <= most, (
                f"not so after {most} s; {self.leader.state}: {self.leader.reason}"
            )
        return self.now - began

    def step(self) -> None:
        self.now += TICK
        self._engine()
        if 0 not in self.down and 0 not in self.unsupervised:
            orders = self.leader.tick(self.now, self.units[0].look(), self.reports, self._signs())
            self._carry_out(0, orders)
            if orders.ask:
                self.questions += 1
                # A busy engine answers when what came before is done.
                queue = 25.0 if self.load(self.now) else 0.2
                self.asked.append((self.now + queue, self.now + orders.ask))
            self.kept[0] = {name: getattr(self.leader, name) for name in self.leader.KEPT}
            if not self.states or self.states[-1][1] != self.leader.state:
                self.states.append((self.now, self.leader.state))
        for rank, worker in self.workers.items():
            if rank in self.down or rank in self.unsupervised:
                continue
            orders = worker.tick(self.now, self.units[rank].look(), self.answers[rank])
            self.answers[rank] = None
            self._carry_out(rank, orders)
            self.kept[rank] = {name: getattr(worker, name) for name in worker.KEPT}
            if (
                self.now % 1.0 < TICK
                and not {0, rank} & (self.cut | self.down)
                and 0 not in self.unsupervised
            ):
                report = worker.report(self.units[rank].look())
                self.reports[rank] = supervise.Report(at=self.now, **report)
                self.answers[rank] = self.leader.answer()

    def _carry_out(self, rank: int, orders: object) -> None:
        if orders.kill:
            self.units[rank].end()
        if orders.start:
            self.units[rank].start(self.now)
