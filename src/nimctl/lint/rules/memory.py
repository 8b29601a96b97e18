"""Whether a model fits the GPUs that it is given, by the arithmetic of `nimctl plan`."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from nimctl.lint.containers import Container
from nimctl.lint.model import Report, rule
from nimctl.lint.rules.ranks import split_of
from nimctl.render.kubernetes.facts import facts

if TYPE_CHECKING:
    from nimctl.plan.catalogue import Catalogue

TOKENS = 1024
"""Tokens in and out of the one request that has to fit: less would serve nobody."""

TOO_SMALL = rule(
    "memory-too-small",
    "error",
    "a model that does not fit the GPUs that it is given",
    why="Its weights, the cache of a single request and what engines take themselves are more than the "
    "memory of a GPU, in every number format in which the model is published and these GPUs can serve it. "
    "`nimctl plan` shows where the memory goes.",
    source="src/nimctl/plan/memory.py; src/nimctl/data/models.yml and planning.yml",
    kinds=("kubernetes", "docker", "compose"),
)

_FORMATS = {"fp8": "fp8", "bfloat16": "bf16", "bf16": "bf16", "float16": "bf16", "half": "bf16"}
_OTHER_SPLITS = re.compile(r"--(enable-)?(expert|data)-parallel|--(dp|ep)-size|--(dp|ep)\b|--cpu-offload")


def check(container: Container, report: Report) -> None:
    """Tell a model that cannot fit; where model, GPU or split are not known, nothing is said."""
    gpu_name = container.gpu_model or _gpu_of_profile(container)
    model_name = _model_name(container)
    tensor, pipeline, place = split_of(container)
    text = " ".join(container.words).replace("_", "-")
    if not (gpu_name and model_name and tensor) or _OTHER_SPLITS.search(text):
        return
    from nimctl.errors import RejectedError
    from nimctl.plan.gpus import gpu
    from nimctl.plan.memory import assumptions, weigh
    from nimctl.plan.question import unsupported
    from nimctl.plan.split import why_not
    from nimctl.plan.work import Split

    catalogue = _catalogue()
    if model_name not in catalogue:
        return
    model, implied = catalogue.find(model_name)
    try:
        card = gpu(gpu_name)
    except RejectedError:
        return  # a GPU whose row has no arithmetic to plan with
    split = Split(tensor, pipeline or 1)
    wanted = _precision(text) or implied
    forms = [form for form in model.formats if not unsupported(form, card)]
    forms = [form for form in forms if form.name == wanted] or forms
    # One byte for each cached value: the least that an engine can be told to take.
    found = [
        weigh(model, form, card, split, TOKENS, TOKENS, 1, 1.0, assumptions())
        for form in forms
        if not why_not(model, form, split)
    ]
    if not found or any(fits for fits, _ in found):
        return
    _, least = min(found, key=lambda each: each[1].needed_per_gpu)
    report.add(
        TOO_SMALL,
        place or container.place,
        f"{model.name} takes {least.weights_total / 1e9:,.0f} GB of weights; with tensor {split.tensor} and "
        f"pipeline {split.pipeline} a GPU needs {least.needed_per_gpu / 1e9:,.0f} GB, and an engine takes "
        f"{least.capacity_per_gpu / 1e9:,.0f} GB of a {card.description}",
    )


@cache
def _catalogue() -> Catalogue:
    from nimctl.plan.catalogue import Catalogue

    return Catalogue()


def _gpu_of_profile(container: Container) -> str:
    """The GPU that a NIM profile is for, as a row of the GPU table: the SXM form where there are several."""
    words = (container.value("NIM_MODEL_PROFILE") or "").lower().split("-")
    known = facts().gpu_products
    return next((name for word in words for name in (word, f"{word}-sxm") if name in known), "")


def _model_name(container: Container) -> str:
    """The model, by the image of NIM or by the arguments of an engine."""
    if container.is_nim and container.reference:
        return container.reference.repository.partition("nim/")[2]
    text = " ".join(container.words)
    match = re.search(r"(?:--model(?:-path)?[= ]|\bserve )\s*([A-Za-z0-9][\w.-]*/[\w.-]+)", text)
    return match[1] if match and container.engine in ("vllm", "sglang") else ""


def _precision(text: str) -> str:
    """The format that the arguments ask for; empty where they leave it to the checkpoint."""
    match = re.search(r"--(?:quantization|dtype)[= ](\w+)", text)
    return _FORMATS.get(match[1], "") if match else ""
