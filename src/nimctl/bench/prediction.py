"""What ``nimctl plan`` says about the setup that is measured, level by level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nimctl.bench.result import Interval, Predicted, Setup
from nimctl.errors import RejectedError
from nimctl.plan import predict
from nimctl.plan.answer import Estimate
from nimctl.plan.ask import Options, questions
from nimctl.plan.choose import choose
from nimctl.plan.question import ENGINES, Question


def predicted(
    setup: Setup,
    levels: Sequence[int],
    isl: int,
    osl: int,
    *,
    inventory: Path | None = None,
    deployment: str | None = None,
    fabric: str | None = None,
) -> tuple[Predicted, ...]:
    """The prediction for each level, for the split that serves.

    ``inventory`` and ``deployment`` say which description the setup comes from; else it has to say enough by
    itself, and ``fabric`` what is between its nodes.

    Raises:
        RejectedError: the plan does not know the model or the GPU, or says that it cannot be.
    """
    options = Options(isl=isl, osl=osl, concurrency=min(levels))
    if inventory is not None:
        [ask] = questions(options, inventory, deployment).questions
        ask = replace(ask, tensor=setup.tp or ask.tensor, pipeline=setup.pp or ask.pipeline)
    else:
        ask = _from_setup(setup, options, fabric)
    ask.check()
    best = choose(ask).best
    if best.speed is None:
        raise RejectedError(f"{ask.model.name} in {best.form.name} does not fit there")
    found = []
    for level in sorted(levels):
        speed = predict.measure(ask, best.form, best.split, level)
        said = predict.prediction(ask, best.form, best.split, speed)
        found.append(
            Predicted(
                level, _interval(said.ttft_ms), _interval(said.tpot_ms), _interval(said.tokens_per_second)
            )
        )
    return tuple(found)


def _from_setup(setup: Setup, options: Options, fabric: str | None) -> Question:
    split = (setup.tp or 1) * (setup.pp or 1)
    nodes = setup.nodes or 1
    [ask] = questions(
        replace(
            options,
            model=setup.model,
            gpu=setup.system,
            nodes=nodes,
            gpus_per_node=setup.gpus_per_node or -(-split // nodes),
            fabric=fabric,
            tensor=setup.tp,
            pipeline=setup.pp,
            precision=setup.precision or "",
            engine=setup.backend if setup.backend in ENGINES else None,
        )
    ).questions
    return ask


def _interval(said: Estimate) -> Interval:
    return Interval(round(said.value, 3), round(said.low, 3), round(said.high, 3), said.origin)
