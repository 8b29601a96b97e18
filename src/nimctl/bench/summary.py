"""From the requests of one level to its figures."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from nimctl.bench.client import Sample
from nimctl.bench.load import Loaded
from nimctl.bench.result import ClientStrain, Goodput, Level, Limits
from nimctl.bench.statistics import distribution, milliseconds, percentile


def summarize(concurrency: int, loaded: Loaded, limits: Limits) -> Level:
    """The figures of one level; failed requests count in ``errors`` and in the goodput only."""
    good = [sample for sample in loaded.samples if sample.error is None]
    failed = [sample for sample in loaded.samples if sample.error is not None]
    seconds = loaded.seconds
    counted = [sample.tokens for sample in good if sample.tokens is not None]
    asked = [sample.prompt_tokens for sample in good if sample.prompt_tokens is not None]
    tpot = distribution(sample.tpot for sample in good if sample.tpot is not None)
    chunks = sum(sample.chunks for sample in good if sample.tokens is not None)
    all_counted = bool(good) and len(counted) == len(good)
    return Level(
        concurrency=concurrency,
        requests=len(loaded.samples),
        completed=len(good),
        errors=dict(sorted(Counter(str(sample.error) for sample in failed).items())),
        error_examples={str(sample.error): sample.detail for sample in reversed(failed)},
        seconds=round(seconds, 3),
        complete=loaded.whole,
        isl=_mean(asked),
        osl=_mean(counted),
        ttft_ms=distribution(sample.ttft for sample in good if sample.ttft is not None),
        tpot_ms=tpot,
        itl_ms=distribution(itertools.chain.from_iterable(sample.gaps for sample in good)),
        e2e_ms=distribution(sample.e2e for sample in good if sample.e2e is not None),
        tokens_per_chunk=round(sum(counted) / chunks, 3) if chunks else None,
        requests_per_second=_rate(len(good), seconds),
        tokens_per_second=_rate(sum(counted), seconds) if all_counted else None,
        input_tokens_per_second=_rate(sum(asked), seconds) if asked and len(asked) == len(good) else None,
        tokens_per_second_per_user=round(1000 / tpot.p50, 3) if tpot and tpot.p50 else None,
        goodput=_goodput(loaded.samples, limits, seconds),
        client=_strain(loaded),
    )


def keeps(sample: Sample, limits: Limits) -> bool:
    """Whether a request kept every limit. One without a TPOT (a single token) cannot break that limit."""
    if sample.error is not None:
        return False
    pairs = (
        (limits.ttft_ms, sample.ttft),
        (limits.tpot_ms, sample.tpot),
        (limits.e2e_ms, sample.e2e),
    )
    return all(limit is None or took is None or took * 1000 <= limit for limit, took in pairs)


def _goodput(samples: Sequence[Sample], limits: Limits, seconds: float) -> Goodput | None:
    if not limits.any or not samples:
        return None
    good = sum(keeps(sample, limits) for sample in samples)
    return Goodput(_rate(good, seconds), round(good / len(samples), 4))


def _strain(loaded: Loaded) -> ClientStrain:
    late = sorted(loaded.strain.lag_seconds)
    lag = milliseconds(percentile(late, 0.99)) if late else 0.0
    return ClientStrain(round(loaded.strain.cpu_share, 3), lag)


def _mean(numbers: Sequence[int]) -> float | None:
    return round(sum(numbers) / len(numbers), 1) if numbers else None


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 3) if seconds else 0.0
