"""One case that can be predicted: model, format, GPU, engine, split and workload, put together once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nimctl.plan import calibration, memory, tables
from nimctl.plan.calibration import Levels
from nimctl.plan.catalogue import Catalogue
from nimctl.plan.gpus import Gpu, gpu
from nimctl.plan.measured import Row, excluded
from nimctl.plan.model import Format, Model
from nimctl.plan.speed import Facts, facts
from nimctl.plan.work import Split

RESERVING = ("trtllm",)
"""Engines that admit a request only when its whole length has a place in the cache."""


@dataclass(frozen=True, slots=True)
class Case:
    """What the formulas and the calibration need."""

    facts: Facts
    levels: Levels


def cached_bytes(form: Format, gpu: Gpu, backend: str, folder: Path | None = None) -> float:
    """Bytes of a cached element that engines choose by themselves: 1 (FP8) or 2 (16 bits)."""
    row = tables.rows("planning", folder)["kv"]
    if form.name in row.texts("fp8_with"):
        return 1.0
    if form.name == "fp8" and (backend in RESERVING or gpu.generation in row.texts("fp8_on")):
        return 1.0
    return 2.0


def case(
    model: Model,
    form: Format,
    gpu: Gpu,
    split: Split,
    backend: str,
    isl: float,
    osl: float,
    concurrency: float,
    kv_bytes: float,
    assumed: memory.Assumptions,
    within: int = 0,
    between: float = 0.0,
    between_prefill: float = 0.0,
) -> Case:
    """Put a case together."""
    capacity = memory.mean_capacity(
        model, form, gpu, split, isl, osl, kv_bytes, assumed, backend in RESERVING
    )
    return Case(
        facts(
            model, form, gpu, split, isl, osl, concurrency, capacity, kv_bytes,
            within, between, between_prefill,
        ),
        calibration.levels(model, form, gpu, split, backend, isl, osl, concurrency / split.data),
    )  # fmt: skip


def format_of(model: Model, precision: str) -> Format:
    """The format that a row's precision means for a model: ``fp4`` is whichever of them it has."""
    names = {"fp4": ("nvfp4", "mxfp4", "int4"), "": (model.formats[0].name,)}.get(precision, (precision,))
    native = model.formats[0]
    if native.name == "mxfp4":
        return native
    return next((form for name in names if (form := model.format(name))), native)


def of_row(row: Row, catalogue: Catalogue, folder: Path | None = None) -> Case:
    """The case of a measured row.

    Where the weights cannot lie on the GPUs that a row names, it ran with data-parallel attention over
    more of the node's GPUs and counts its requests for one of them; some rows of the public benchmark do.
    """
    model, implied = catalogue.find(row.model)
    form = format_of(model, row.precision or implied)
    machine = gpu(row.system, folder)
    assumed = memory.assumptions(folder)
    data = 1
    total = memory.weights_total(model, form)
    while total / (row.tensor * row.pipeline * data) > 0.8 * machine.memory and row.tensor * data < 8:
        data *= 2
    split = Split(row.tensor, row.pipeline, row.expert, data)
    kv_bytes = cached_bytes(form, machine, row.backend, folder)
    return case(
        model, form, machine, split, row.backend, row.isl, row.osl, row.concurrency * data, kv_bytes, assumed
    )


def utilization(row: Row, found: Case) -> float:
    """The share of the GPUs' peak that a row claims to have used."""
    one = found.facts
    seconds = (row.ttft_ms + row.osl * row.tpot_ms) / 1e3
    work = one.prefill_flops + one.prefill_attention + row.osl * one.flops / one.concurrency
    return float(one.concurrency / one.data / seconds * work)


def left_out(rows: Sequence[Row], found: Sequence[Case], catalogue: Catalogue) -> dict[int, str]:
    """Which rows do not count, and why: ``measured`` has the rules."""
    kinds = architectures(rows, catalogue)
    used = [utilization(row, one) for row, one in zip(rows, found, strict=True)]
    return excluded(rows, kinds, used)


def architectures(rows: Sequence[Row], catalogue: Catalogue) -> dict[str, str]:
    """What computes alike, by the models' names in the rows: DeepSeek-R1 and V3 are one architecture."""
    known = {}
    for name in {row.model for row in rows}:
        model, _ = catalogue.find(name)
        known[name] = f"{model.parameters}/{len(model.layers)}/{model.hidden}"
    return known
