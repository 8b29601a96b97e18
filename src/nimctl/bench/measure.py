"""A whole measurement, with our own client or with AIPerf, as one result."""

from __future__ import annotations

from datetime import UTC, datetime

from nimctl import __version__
from nimctl.bench import aiperf, saving, sweep
from nimctl.bench.display import Display
from nimctl.bench.result import Ask, Endpoint, Result
from nimctl.bench.subject import Subject
from nimctl.bench.sweep import Order


def measure(
    asked: Subject, order: Order, key: str | None, display: Display, *, tokenizer: str | None = None
) -> Result:
    """Measure every level that was ordered. With a ``tokenizer``, AIPerf does it.

    Raises:
        EndpointError: the endpoint does not answer, or not as it should.
        NimctlError: AIPerf failed.
    """
    began = datetime.now(UTC)
    with display:
        if tokenizer is None:
            tool, version = "nimctl", __version__
            swept = sweep.run(order, key, display)
        else:
            tool = "aiperf"
            swept, version = aiperf.run(order, key, tokenizer, display)
    setup = asked.setup
    return Result(
        time=began.isoformat(timespec="seconds"),
        tool=tool,
        version=version,
        endpoint=Endpoint(asked.url, order.api, swept.model, asked.deployment, asked.replica),
        setup=setup,
        load=Ask(order.isl, order.osl, order.warmup, order.requests, order.level_seconds, order.timeout),
        limits=order.limits,
        levels=swept.levels,
        interrupted=swept.interrupted,
        notes=swept.notes,
        rows=saving.rows(setup, swept.model, swept.levels, order.isl, order.osl, began.date().isoformat()),
    )
