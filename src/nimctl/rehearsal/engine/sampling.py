"""From scores to the next token."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np

from .wire import Array


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one request wants its tokens chosen. A request without a seed gets 0: the engine is repeatable."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    ignore_eos: bool = False


def choose(scores: Array, sampling: Sampling, position: int) -> int:
    """Pick a token; the draw depends on the seed and the position alone, never on other requests."""
    if sampling.temperature < 1e-5:
        return int(np.argmax(scores))
    order = np.argsort(-scores, kind="stable")[:64]
    weights = np.exp((scores[order] - scores[order[0]]) / sampling.temperature)
    shares = np.cumsum(weights / weights.sum())
    kept = int(np.searchsorted(shares, sampling.top_p)) + 1
    # A string seeds the generator by its digest: the same on every machine and in every version.
    draw = random.Random(f"{sampling.seed}:{position}").random()  # noqa: S311 - text, not keys
    index = int(np.searchsorted(shares[:kept], draw * shares[min(kept, len(shares)) - 1], side="right"))
    return int(order[min(index, kept - 1, len(order) - 1)])
