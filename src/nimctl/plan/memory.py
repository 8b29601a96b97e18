"""Whether a split fits: the memory of each GPU, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nimctl.plan import answer, tables
from nimctl.plan.gpus import Gpu
from nimctl.plan.model import Attention, Format, Layer, Model
from nimctl.plan.work import Split, groups

GIB = 2**30
BLOCK = 16
"""Tokens that engines allocate in the cache at a time."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is not for weights and cache, in bytes; ``utilization`` is the share that an engine takes."""

    utilization: float
    activations_dense: float
    activations_moe: float
    context_one: float
    context_many: float
    source: str


def assumptions(folder: Path | None = None) -> Assumptions:
    """The assumptions of the table. Raises RejectedError."""
    row = tables.rows("planning", folder)["memory"]
    return Assumptions(
        row.number("utilization"),
        row.number("activations_dense") * GIB,
        row.number("activations_moe") * GIB,
        row.number("context_one") * GIB,
        row.number("context_many") * GIB,
        row.text("source"),
    )


def stages(layers: int, pipeline: int) -> tuple[int, ...]:
    """Layers of each stage: as even as can be, the longer ones first, as engines cut them."""
    short, more = divmod(layers, pipeline)
    return tuple(short + (1 if stage < more else 0) for stage in range(pipeline))


def kv_per_token(attention: Attention, tensor: int, kv_bytes: float) -> float:
    """Bytes of one token on one GPU: GQA is split by heads, MLA lies whole on every tensor rank."""
    shard = min(tensor, attention.kv_heads) if attention.kind == "gqa" else 1
    return attention.cached * kv_bytes / shard


def kv_per_request(layer: Layer, tokens: int, tensor: int, kv_bytes: float) -> float:
    """Bytes that a request of so many tokens takes in one layer of one GPU, in whole blocks."""
    attention = layer.attention
    held = -(-attention.tokens_cached(tokens) // BLOCK) * BLOCK
    state = attention.state_bytes / tensor
    return held * kv_per_token(attention, tensor, kv_bytes) + state


def layer_bytes(layer: Layer, form: Format, split: Split) -> float:
    """Weights of one layer on one GPU. Norms are not cut, and neither is the router."""
    mlp = layer.mlp
    cut = (layer.attention.parameters * form.attention + mlp.dense * form.dense) / split.tensor
    experts = mlp.expert * mlp.experts * form.experts / (split.tensor * split.data)
    return cut + experts + layer.other * 2


def weights_total(model: Model, form: Format) -> int:
    """Bytes of all weights, each once. Those of a checkpoint that was read are its true sizes."""
    if model.tensors:
        return int(sum(model.tensors.values()))
    ends = model.embedding * (1 if model.tied else 2) + model.more
    alone = Split(1)
    return int(ends * 2 + sum(count * layer_bytes(layer, form, alone) for layer, count in groups(model)))


def weigh(
    model: Model,
    form: Format,
    gpu: Gpu,
    split: Split,
    isl: int,
    osl: int,
    concurrency: int,
    kv_bytes: float,
    assumed: Assumptions,
) -> tuple[bool, answer.Memory]:
    """Whether a workload fits, and where the memory goes."""
    capacity = int(gpu.memory * assumed.utilization)
    activations = int(assumed.activations_moe if model.experts else assumed.activations_dense)
    overhead = int(assumed.context_many if split.gpus > 1 else assumed.context_one)
    tokens = isl + osl
    # Data-parallel groups share the requests; pipeline stages hold those of all microbatches.
    own = -(-concurrency // split.data)
    scale = _checkpoint_scale(model, form)
    found, token_bytes, request_bytes, room = [], [], [], []
    first = 0
    lengths = stages(len(model.layers), split.pipeline)
    for number, length in enumerate(lengths):
        part = model.layers[first : first + length]
        first += length
        weights = sum(layer_bytes(layer, form, split) for layer in part) * scale
        ends = (number == 0) + (number == len(lengths) - 1 and not (model.tied and len(lengths) == 1))
        weights += ends * model.embedding * 2 / split.tensor + (model.more * 2 if number == 0 else 0)
        one = sum(kv_per_request(layer, tokens, split.tensor, kv_bytes) for layer in part)
        request_bytes.append(one)
        token_bytes.append(sum(kv_per_token(layer.attention, split.tensor, kv_bytes) for layer in part))
        left = capacity - int(weights) - activations - overhead
        room.append(left)
        cache = int(one * own)
        found.append(
            answer.StageMemory(
                number, length, int(weights), cache, activations, overhead, left - cache, capacity
            )
        )
    limiting = min(range(len(found)), key=lambda index: found[index].free)
    limit = found[limiting]
    most = [int(left // one) if one else concurrency for left, one in zip(room, request_bytes, strict=True)]
    memory = answer.Memory(
        weights_total(model, form),
        limit.capacity - limit.free,
        limit.capacity,
        limiting,
        int(token_bytes[limiting]),
        _longest(model, split, kv_bytes, room, lengths),
        max(0, min(most) * split.data),
        tuple(found),
    )
    return all(stage.free >= 0 for stage in found), memory


def mean_capacity(
    model: Model, form: Format, gpu: Gpu, split: Split, isl: float, osl: float, kv_bytes: float,
    assumed: Assumptions, reserves: bool,
) -> float:  # fmt: skip
    """How many requests run at a time: by their mean length, or by the full one that an engine reserves."""
    length = 0.9 * isl + (0.9 if reserves else 0.5) * osl
    weights = cache = 0.0
    for layer, count in groups(model):
        share = count / split.pipeline
        weights += share * layer_bytes(layer, form, split)
        cache += share * kv_per_request(layer, max(1, int(length)), split.tensor, kv_bytes)
    weights += model.embedding * 2 / split.tensor
    taken = assumed.activations_moe if model.experts else assumed.activations_dense
    left = gpu.memory * assumed.utilization - weights - taken
    return max(1.0, left / cache) * split.data if cache else 1e9


def _checkpoint_scale(model: Model, form: Format) -> float:
    """True bytes of the layers over those computed, where a checkpoint was read."""
    if not model.tensors:
        return 1.0
    alone = Split(1)
    computed = sum(count * layer_bytes(layer, form, alone) for layer, count in groups(model))
    true = sum(size for part, size in model.tensors.items() if part != "embedding")
    return true / computed if computed else 1.0


def _longest(model: Model, split: Split, kv_bytes: float, room: list[int], lengths: tuple[int, ...]) -> int:
    """The longest request that fits alone, by halving."""

    def fits(tokens: int) -> bool:
        first = 0
        for left, length in zip(room, lengths, strict=True):
            part = model.layers[first : first + length]
            first += length
            if sum(kv_per_request(layer, tokens, split.tensor, kv_bytes) for layer in part) > left:
                return False
        return True

    low, high = 0, model.context
    if fits(high):
        return high
    while high - low > BLOCK:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
