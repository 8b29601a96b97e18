"""Keep a number of requests in flight: a closed loop, each slot asks again as soon as it was answered."""

from __future__ import annotations

import asyncio
import time
from array import array
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field

from nimctl.bench.client import Client, Sample
from nimctl.bench.prompts import Prompts

AFTER_FAILURE = 0.1
"""Seconds that a slot rests after a failure: a refusing server is not to be hammered."""
_TICK = 0.05


@dataclass(frozen=True, slots=True)
class Strain:
    """How busy the client itself was: share of one core, and by how much its clock ran late."""

    cpu_share: float
    lag_seconds: Sequence[float]


@dataclass(slots=True)
class Loaded:
    """What one level of concurrency gave; ``whole`` is False where it was stopped."""

    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    whole: bool = True
    strain: Strain = field(default_factory=lambda: Strain(0.0, ()))


async def load(
    client: Client,
    prompts: Prompts,
    *,
    words: int,
    tokens: int,
    concurrency: int,
    requests: int,
    stop: asyncio.Event,
    seconds: float | None = None,
    done: Callable[[Sample], None] = lambda sample: None,
) -> Loaded:
    """Send ``requests`` requests, ``concurrency`` at a time.

    After ``seconds`` no more are begun. When ``stop`` is set, those in flight are dropped and what has
    been answered until then is returned.
    """
    result = Loaded()
    left = requests
    begun, cpu = time.perf_counter(), time.process_time()

    async def slot() -> None:
        nonlocal left
        while left > 0 and (seconds is None or time.perf_counter() - begun < seconds):
            left -= 1
            sample = await client.ask(prompts.make(words), tokens)
            result.samples.append(sample)
            done(sample)
            if sample.error is not None:
                await asyncio.sleep(AFTER_FAILURE)

    lag: array[float] = array("d")
    slots = _all([slot() for _ in range(min(concurrency, requests))])
    work, stopped, watch = (asyncio.create_task(each) for each in (slots, stop.wait(), _watch(lag)))
    try:
        await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        result.whole = work.done()
        if result.whole:
            work.result()
    finally:
        for task in (work, stopped, watch):
            task.cancel()
        await asyncio.gather(work, stopped, watch, return_exceptions=True)
    ended = max((sample.ended for sample in result.samples), default=begun)
    result.seconds = ended - begun
    wall = time.perf_counter() - begun
    result.strain = Strain((time.process_time() - cpu) / wall if wall else 0.0, lag)
    return result


async def _all(slots: Iterable[Coroutine[None, None, None]]) -> None:
    await asyncio.gather(*slots)


async def _watch(lag: array[float]) -> None:
    """Note by how much this process wakes up late: answers that wait for it look slower than they are."""
    while True:
        before = time.perf_counter()
        await asyncio.sleep(_TICK)
        lag.append(max(0.0, time.perf_counter() - before - _TICK))
