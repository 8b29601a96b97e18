"""A sweep over levels of concurrency, from the first question to the last figure."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from nimctl.bench import probe
from nimctl.bench.client import Api, Client, Dialect, Sample
from nimctl.bench.load import load
from nimctl.bench.prompts import Prompts
from nimctl.bench.result import Level, Limits
from nimctl.bench.summary import summarize
from nimctl.errors import RejectedError

PER_SLOT = 10
"""Requests of each slot where nobody says how many: the beginning, when all prompts arrive at once, and the
end, when slots run dry, then weigh little."""
BUSY_SHARE = 0.8
LATE_MS = 5.0
OTHER_FILES = 64
"""Open files of a process besides its connections."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to measure. ``requests`` and ``warmup`` are per level; None: by the concurrency."""

    url: str
    api: Api
    model: str
    levels: tuple[int, ...]
    isl: int
    osl: int
    requests: int | None
    warmup: int | None
    level_seconds: float | None
    timeout: float
    limits: Limits
    dialect: Dialect


class Watcher(Protocol):
    """Is told how a sweep goes on."""

    def begin(self, concurrency: int, requests: int, *, warmup: bool) -> None:
        """A level, or its warm-up, begins."""

    def answered(self, sample: Sample) -> None:
        """A request has ended, well or not."""

    def end(self, level: Level) -> None:
        """A level is done."""


@dataclass(frozen=True, slots=True)
class Swept:
    """The levels that were measured, the name of the model that answered, and remarks."""

    model: str
    levels: tuple[Level, ...]
    interrupted: bool
    notes: tuple[str, ...]


def run(order: Order, key: str | None, watcher: Watcher) -> Swept:
    """Measure every level in turn; Ctrl-C ends it with what there is.

    Raises:
        RejectedError: this process may not open as many connections.
        EndpointError: the endpoint does not answer at all, or not as it should.
    """
    _allow_connections(max(order.levels))
    return asyncio.run(_run(order, key, watcher))


def _allow_connections(concurrency: int) -> None:
    """Raise the soft limit of open files where the hard one allows it; each request takes a connection."""
    needed = concurrency + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise RejectedError(
            f"--concurrency {concurrency} needs {needed} open files and this process may have {hard} "
            "(ulimit -Hn); raise that limit or ask for less"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


async def _run(order: Order, key: str | None, watcher: Watcher) -> Swept:
    stop = asyncio.Event()
    levels: list[Level] = []
    with _interrupt(stop.set):
        async with Client(order.url, order.api, order.model, key, order.timeout) as client:
            client.dialect = order.dialect
            prepared = asyncio.create_task(_prepare(client, order))
            stopped = asyncio.create_task(stop.wait())
            await asyncio.wait({prepared, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not prepared.done():
                prepared.cancel()
                await asyncio.gather(prepared, return_exceptions=True)
                return Swept(client.model, (), True, ())
            prompts, words, notes = prepared.result()
            for concurrency in order.levels:
                level = await _level(client, prompts, words, order, concurrency, stop, watcher)
                if level is not None:
                    levels.append(level)
                    watcher.end(level)
                if stop.is_set():
                    break
                if level is not None and level.requests and not level.completed:
                    notes.append(
                        f"Every request failed at concurrency {concurrency}, so the sweep ended there."
                    )
                    break
    notes += remarks(levels, order)
    return Swept(client.model, tuple(levels), stop.is_set(), tuple(notes))


async def _prepare(client: Client, order: Order) -> tuple[Prompts, int, list[str]]:
    client.model = await probe.model(client)
    prompts = Prompts(order.isl * 2)
    notes = await probe.dialect(client, prompts)
    words, more = await probe.words(client, prompts, order.isl)
    return prompts, words, [*notes, *more]


async def _level(
    client: Client,
    prompts: Prompts,
    words: int,
    order: Order,
    concurrency: int,
    stop: asyncio.Event,
    watcher: Watcher,
) -> Level | None:
    """One level after its warm-up; None where it was stopped before anything was answered."""
    send = partial(
        load,
        client,
        prompts,
        words=words,
        tokens=order.osl,
        concurrency=concurrency,
        stop=stop,
        done=watcher.answered,
    )
    warmup = concurrency if order.warmup is None else order.warmup
    if warmup:
        watcher.begin(concurrency, warmup, warmup=True)
        await send(requests=warmup)
    if stop.is_set():
        return None
    requests = order.requests or concurrency * PER_SLOT
    watcher.begin(concurrency, requests, warmup=False)
    loaded = await send(requests=requests, seconds=order.level_seconds)
    return summarize(concurrency, loaded, order.limits) if loaded.samples else None


def remarks(levels: Sequence[Level], order: Order) -> list[str]:
    """What a reader of the figures must know to trust them; the same thing once for all levels."""
    found: dict[str, list[Level]] = {"isl": [], "osl": [], "busy": [], "late": []}
    for level in levels:
        strain = level.client
        if level.isl is not None and abs(level.isl - order.isl) > max(8, order.isl * 0.03):
            found["isl"].append(level)
        if level.osl is not None and level.osl < order.osl * 0.98:
            found["osl"].append(level)
        if strain and strain.cpu_share > BUSY_SHARE:
            found["busy"].append(level)
        elif strain and level.tpot_ms and strain.lag_p99_ms > max(LATE_MS, level.tpot_ms.p50 / 2):
            found["late"].append(level)
    texts = {
        "isl": f"prompts had {_span(level.isl for level in found['isl'])} tokens on average, not {order.isl}",
        "osl": f"answers had {_span(level.osl for level in found['osl'])} tokens on average, not {order.osl}",
        "busy": "this client used most of a core: it may be slower than the endpoint. Measure from a faster "
        "machine, or from several",
        "late": f"this machine woke the client up to "
        f"{_span(level.client.lag_p99_ms for level in found['late'] if level.client)} ms late, because it is "
        "busy with something else: the high percentiles are its own",
    }
    return [
        f"At concurrency {', '.join(str(level.concurrency) for level in concerned)} {texts[kind]}."
        for kind, concerned in found.items()
        if concerned
    ]


def _span(numbers: Iterable[float | None]) -> str:
    known = [number for number in numbers if number is not None]
    if not known:
        return "-"
    low, high = f"{min(known):.0f}", f"{max(known):.0f}"
    return low if low == high else f"{low} to {high}"


@contextlib.contextmanager
def _interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C end a sweep in order; a second one ends it at once, as ever."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stop()

    loop.add_signal_handler(signal.SIGINT, once)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
