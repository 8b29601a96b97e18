"""The leader's loop: it batches the requests, drives every rank through each step and picks the tokens."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

from .errors import EngineDeadError, LinkLostError
from .log import log
from .metrics import Metrics
from .model import Rows, receptive_field
from .runner import Runner
from .sampling import Sampling, choose
from .stage import Step
from .text import EOS, VOCABULARY
from .wire import Array

_CHUNK = 64
"""Prompt tokens of one sequence in a step: others get their next token in between."""


@dataclass(eq=False, slots=True)
class Request:
    """One sequence on its way; ``events`` carries its tokens, then a finish reason or an error."""

    number: int
    prompt: list[int]
    sampling: Sampling
    events: SimpleQueue[int | str | EngineDeadError] = field(default_factory=SimpleQueue)
    tokens: list[int] = field(default_factory=list)
    position: int = 0
    aborted: bool = False
    since: float = field(default_factory=time.monotonic)


class Engine:
    """Runs requests on a complete group, in one thread of its own."""

    def __init__(self, runner: Runner, metrics: Metrics) -> None:
        self._runner = runner
        self._settings = runner.settings
        self.metrics = metrics
        self._lock = threading.Condition()
        self._waiting: list[Request] = []
        self._running: list[Request] = []
        self._drop: list[int] = []
        self._numbers = itertools.count(1)
        self._steps = itertools.count(1)
        self._field = receptive_field(self._settings)
        self.dead = threading.Event()
        """Set when a rank was lost and this engine can answer nothing more."""

    def start(self) -> None:
        """Begin to answer."""
        threading.Thread(target=self._loop, daemon=True, name="engine").start()

    def submit(self, prompt: list[int], sampling: Sampling) -> Request:
        """Queue a request."""
        request = Request(next(self._numbers), prompt, sampling)
        with self._lock:
            if self.dead.is_set():
                raise EngineDeadError
            self._waiting.append(request)
            self._lock.notify()
        return request

    def abort(self, request: Request) -> None:
        """Stop working on a request that nobody waits for."""
        request.aborted = True
        with self._lock:
            self._lock.notify()

    def tokens(self, request: Request, poll: float) -> Iterator[int | str | None]:
        """Yield tokens as they come, then the finish reason; ``None`` every ``poll`` seconds without news.

        Raises EngineDeadError when the group breaks.
        """
        while True:
            try:
                event = request.events.get(timeout=poll)
            except Empty:
                yield None
                continue
            if isinstance(event, EngineDeadError):
                raise event
            yield event
            if isinstance(event, str):
                return

    def load(self) -> tuple[int, int]:
        """How many requests are running and waiting."""
        return len(self._running), len(self._waiting)

    def _loop(self) -> None:
        try:
            while True:
                with self._lock:
                    while not self._waiting and not self._running:
                        self._lock.wait()
                    self._admit()
                self._advance()
        except LinkLostError as error:
            self._die(error)

    def _admit(self) -> None:
        for request in [*self._waiting, *self._running]:
            if request.aborted:
                self._remove(request)
                self.metrics.finished("abort", time.monotonic() - request.since)
        while self._waiting and len(self._running) < self._settings.max_seqs:
            request = self._waiting.pop(0)
            if not self._settings.prefill_seconds_per_1k:
                request.position = max(0, len(request.prompt) - self._field)
            self.metrics.prompt(len(request.prompt))
            self._running.append(request)

    def _remove(self, request: Request) -> None:
        if request in self._waiting:
            self._waiting.remove(request)
        else:
            self._running.remove(request)
            self._drop.append(request.number)

    def _advance(self) -> None:
        """Run one step: a token for every sequence whose prompt is read, a piece of prompt for the others."""
        settings, begin, pace = self._settings, time.monotonic(), 0.0
        step = Step(next(self._steps), [], [], [], [], self._drop)
        self._drop = []
        ready: list[Request] = []
        decoding = False
        worked = 0
        for request in self._running:
            # What is too far back to influence the next token is not computed, only its time is spent.
            skipped = min(max(0, len(request.prompt) - self._field) - request.position, _CHUNK)
            if skipped > 0:
                request.position += skipped
                worked += skipped
                pace += skipped / 1000 * settings.prefill_seconds_per_1k
                continue
            if request.tokens:
                new = request.tokens[-1:]
                decoding = True
            else:
                new = request.prompt[request.position : request.position + _CHUNK]
                pace += len(new) / 1000 * settings.prefill_seconds_per_1k
                request.position += len(new)
            worked += len(new)
            row = len(step.tokens)
            step.tokens.extend(new)
            step.rows.append(Rows(request.number, row, len(step.tokens)))
            if request.tokens or request.position == len(request.prompt):
                step.wanted.append(len(step.tokens) - 1)
                step.context.append([0, *request.prompt[-2:], *request.tokens[-2:]][-2:])
                ready.append(request)
        pace += settings.token_seconds if decoding else 0.0
        if step.rows:
            scores = self._run(step)
            for request, row in zip(ready, scores, strict=True):
                self._extend(request, row)
        else:
            self._drop = step.drop
        time.sleep(max(0.0, pace - (time.monotonic() - begin)))
        self.metrics.step(worked)

    def _run(self, step: Step) -> Array:
        deadline = time.monotonic() + self._settings.execute_timeout_seconds
        runner = self._runner
        try:
            message = step.message()
            for _, link in sorted(runner.links.items()):
                link.deadline = deadline
                link.send_json(message)
            scores = runner.run(step)
        except LinkLostError as error:
            if error.peer not in runner.collective_peers:
                # A point-to-point transfer that fails is not noticed until the step takes too long.
                time.sleep(max(0.0, deadline - time.monotonic()))
            raise
        assert scores is not None
        return scores

    def _extend(self, request: Request, scores: Array) -> None:
        token = choose(scores[: len(VOCABULARY)], request.sampling, len(request.tokens))
        if not request.tokens:
            self.metrics.first_token(time.monotonic() - request.since)
        request.tokens.append(token)
        self.metrics.generated(1)
        reason = ""
        if token == EOS and not request.sampling.ignore_eos:
            reason = "stop"
        else:
            request.events.put(token)
            if len(request.tokens) >= request.sampling.max_tokens:
                reason = "length"
        if reason:
            request.events.put(reason)
            self.metrics.finished(reason, time.monotonic() - request.since)
            with self._lock:
                self._remove(request)

    def _die(self, error: LinkLostError) -> None:
        log.error("EngineDeadError: a step failed: %s", error)
        with self._lock:
            requests = [*self._running, *self._waiting]
            self.dead.set()
        for request in requests:
            request.events.put(EngineDeadError())
