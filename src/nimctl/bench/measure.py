"""A whole measurement, with our own client or with AIPerf, as one result."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from nimctl import __version__
from nimctl.bench import aiperf, saving, sweep
from nimctl.bench.display import Display
from nimctl.bench.result import Ask, Endpoint, Predicted, Result
from nimctl.bench.subject import Subject
from nimctl.bench.sweep import Order, Swept
from nimctl.errors import RejectedError


def measure(
    asked: Subject,
    order: Order,
    key: str | None,
    display: Display,
    *,
    tokenizer: str | None = None,
    inventory: Path | None = None,
    fabric: str | None = None,
) -> Result:
    """Measure every level that was ordered. With a ``tokenizer``, AIPerf does it.

    ``inventory`` is where the subject was described, ``fabric`` what else is between its nodes, for the
    prediction beside it.

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
    said, remarks = _beside(asked, swept, order, inventory, fabric)
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
        prediction=said,
        notes=(*swept.notes, *remarks),
        rows=saving.rows(setup, swept.model, swept.levels, order.isl, order.osl, began.date().isoformat()),
    )


def _beside(
    asked: Subject, swept: Swept, order: Order, inventory: Path | None, fabric: str | None
) -> tuple[tuple[Predicted, ...], tuple[str, ...]]:
    """The plan's prediction, and why there is none where one could be expected."""
    setup = replace(asked.setup, model=asked.setup.model or swept.model)
    levels = [level.concurrency for level in swept.levels]
    if not levels or not setup.system or not setup.tp:
        return (), ()
    from nimctl.bench import prediction  # the planner and its tables, which not every measurement needs

    try:
        return prediction.predicted(
            setup,
            levels,
            order.isl,
            order.osl,
            inventory=inventory,
            deployment=asked.deployment,
            fabric=fabric,
        ), ()
    except RejectedError as error:
        return (), (f"There is no prediction beside it: {error}",)
