"""Which split, format and number of GPUs: all that are possible, ranked for the goal."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

from nimctl.errors import RejectedError
from nimctl.plan import answer, memory, predict
from nimctl.plan.model import Format
from nimctl.plan.predict import Speed
from nimctl.plan.question import Question
from nimctl.plan.split import candidates, why_not
from nimctl.plan.work import Split

_ALIKE = 0.03
"""Logarithm of the ratio of two predictions that count as alike."""


@dataclass(frozen=True)
class Candidate:
    """One way to do it; ``speed`` is None where it does not fit."""

    form: Format
    split: Split
    fits: bool
    memory: answer.Memory
    speed: Speed | None

    @property
    def title(self) -> str:
        """``TP8 x PP2, fp8``."""
        return f"{name(self.split)}, {self.form.name}"


def name(split: Split) -> str:
    """``TP8 x PP2``, ``TP8, experts whole on 8``."""
    text = f"TP{split.tensor}" + (f" x PP{split.pipeline}" if split.pipeline > 1 else "")
    return f"{text}, EP{split.expert}" if split.expert > 1 else text


@dataclass(frozen=True)
class Choice:
    """The best candidate, the others that fit in order, and the one that came closest where none fits."""

    best: Candidate
    others: tuple[Candidate, ...]
    refused: tuple[str, ...]


def weigh(ask: Question, form: Format, split: Split) -> Candidate:
    """One candidate, with its speed if it fits."""
    work = ask.work
    fits, found = memory.weigh(
        ask.model, form, ask.gpu, split, work.isl, work.osl, work.concurrency,
        predict.kv_bytes(ask, form), ask.assumed,
    )  # fmt: skip
    return Candidate(form, split, fits, found, predict.measure(ask, form, split) if fits else None)


def choose(ask: Question) -> Choice:
    """The best way. Raises RejectedError where what was asked for cannot be, whatever the memory."""
    refused: list[str] = []
    closest: Candidate | None = None
    for form in ask.formats():
        splits = list(candidates(ask.model, form, ask.nodes, ask.gpus_per_node, ask.tensor, ask.pipeline))
        if not splits:
            reason = _impossible(ask, form)
            if form is ask.formats()[-1] and closest is None:
                raise RejectedError(reason)
            refused.append(f"{form.name}: {reason}")
            continue
        found = [weigh(ask, form, split) for split in splits]
        fitting = [candidate for candidate in found if candidate.fits]
        if fitting:
            least: dict[tuple[int, int], int] = {}
            for one in fitting:
                key = one.split.tensor, one.split.expert
                least[key] = min(least.get(key, one.split.pipeline), one.split.pipeline)
            ranked = sorted(fitting, key=lambda candidate: _rank(ask, candidate, least))
            return Choice(ranked[0], tuple(ranked[1:]), tuple(refused))
        near = max(found, key=lambda candidate: _room(candidate))
        if closest is None or _room(near) > _room(closest):
            closest = near
        refused.append(f"{form.name}: {shortfall(ask, near)}")
    assert closest is not None
    return Choice(closest, (), tuple(refused))


def _room(candidate: Candidate) -> int:
    return min(stage.free for stage in candidate.memory.stages)


def shortfall(ask: Question, candidate: Candidate) -> str:
    """What is missing, in gigabytes."""
    gpus = ask.nodes * ask.gpus_per_node
    have = gpus * ask.gpu.memory / 1e9
    total = candidate.memory.weights_total / 1e9
    if total > have:
        return f"{total:,.0f} GB of weights, and {gpus} GPUs have {have:,.0f} GB together"
    missing = -_room(candidate) / 1e9
    limit = candidate.memory.stages[candidate.memory.limiting_stage]
    return (
        f"{total:,.0f} GB of weights; with {name(candidate.split)} a GPU of stage {limit.stage} needs "
        f"{candidate.memory.needed_per_gpu / 1e9:.1f} GB of {limit.capacity / 1e9:.1f} GB "
        f"({missing:.1f} GB too much)"
    )


def _impossible(ask: Question, form: Format) -> str:
    """Why no split is possible at all."""
    total = ask.nodes * ask.gpus_per_node
    if ask.tensor:
        split = Split(ask.tensor, ask.pipeline or 1)
        if split.gpus > total:
            return f"{name(split)} takes {split.gpus} GPUs, and there are {total}"
        why = why_not(ask.model, form, split, ask.gpus_per_node)
        if why:
            return f"--tensor {ask.tensor}: {why}"
    if ask.pipeline > len(ask.model.layers):
        return f"--pipeline {ask.pipeline}: the model has {len(ask.model.layers)} layers"
    return f"no split of {ask.model.name} is possible on {ask.nodes} x {ask.gpus_per_node} GPUs"


def _rank(ask: Question, candidate: Candidate, least: dict[tuple[int, int], int]) -> tuple[float, ...]:
    """Smaller is better: what is within the limits, with a network that carries it, then the goal."""
    speed = candidate.speed
    assert speed is not None
    work = ask.work
    late = (work.ttft_limit_ms is not None and speed.first * 1e3 > work.ttft_limit_ms) + (
        work.tpot_limit_ms is not None and speed.token * 1e3 > work.tpot_limit_ms
    )
    bad = {"viable": 0, "degraded": 1, "unviable": 2}[speed.verdict]
    split = candidate.split
    gpus = split.gpus
    if work.goal == "gpus":
        return late, bad, gpus, speed.token
    if work.goal == "throughput":
        return late, bad, -speed.tokens_per_second / gpus, speed.token
    # More stages than it takes to fit make no request faster (NVIDIA, TensorRT-LLM#1144): they only spread
    # it.
    longer = split.pipeline > least[split.tensor, split.expert]
    # Of two that are as fast within a few percent, the one with fewer GPUs.
    return late, bad, longer, round(log(speed.token) / _ALIKE), gpus, speed.token
