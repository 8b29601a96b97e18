"""What one decode step and one prefill have to move, compute and exchange, before anything is calibrated.

Counts come from the shape of the model and of the split alone; ``speed`` turns them into time.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from nimctl.plan.model import Format, Layer, Model


@dataclass(frozen=True, slots=True)
class Split:
    """How a replica is spread: ``tensor`` GPUs share a layer, ``pipeline`` stages share the layers.

    ``expert`` GPUs share the experts of a layer whole (1: they are cut like everything else), ``data``
    groups of tensor ranks each hold the attention and serve their own requests.
    """

    tensor: int
    pipeline: int = 1
    expert: int = 1
    data: int = 1

    @property
    def gpus(self) -> int:
        """GPUs of a replica."""
        return self.tensor * self.pipeline * self.data


@dataclass(frozen=True, slots=True)
class DecodeWork:
    """One step of a whole batch, per GPU and summed over the pipeline stages that a token passes.

    ``weights`` are bytes read whatever is routed where, ``expert_weights`` those of one expert of each layer,
    of which a layer has ``experts`` and each of ``tokens`` uses ``per_token``; ``kv`` are bytes of the cache.
    ``flops`` are those of the matrices, ``attention_flops`` those with the cache. ``reduced`` are the
    bytes of one all-reduce, ``reduces`` how many there are.
    """

    weights: float
    expert_weights: float
    experts: int
    per_token: int
    tokens: float
    kv: float
    flops: float
    attention_flops: float
    layers: int
    moe_layers: int
    reduces: int
    reduced: float


@dataclass(frozen=True, slots=True)
class PrefillWork:
    """The prefill of one request, per GPU: as DecodeWork, with the experts among the ``weights``."""

    weights: float
    flops: float
    attention_flops: float
    layers: int
    moe_layers: int
    reduces: int
    reduced: float


@lru_cache(maxsize=256)
def groups(model: Model) -> tuple[tuple[Layer, int], ...]:
    """The kinds of layers of a model, and how many there are of each."""
    return tuple(Counter(model.layers).items())


def covered(experts: int, per_token: int, tokens: float, skew: float = 1.0) -> float:
    """How many of the experts of a layer at least one of so many tokens uses.

    ``E (1 - (1 - k/E)^(B skew))``, for tokens that are routed alike; real routing is more uneven (``skew``
    < 1).
    """
    if not experts:
        return 0.0
    return float(experts * (1.0 - (1.0 - per_token / experts) ** (tokens * skew)))


def decode_work(
    model: Model, form: Format, split: Split, batch: float, context: float, kv_bytes: float
) -> DecodeWork:
    """One decode step of ``batch`` requests of ``context`` tokens each."""
    n = split.tensor
    # A stage works on a microbatch, and on no less than one request.
    own = max(batch / split.data / split.pipeline, min(batch, 1.0))
    together = max(batch / split.pipeline, min(batch, 1.0))
    weights = expert_weights = kv = flops = attention_flops = 0.0
    moe = experts = per_token = 0
    for layer, count in groups(model):
        attention, mlp = layer.attention, layer.mlp
        weights += count * (attention.parameters * form.attention + mlp.dense * form.dense) / n
        flops += count * 2 * own * (attention.parameters + mlp.dense) / n
        if mlp.experts:
            spread = n * split.data
            experts, per_token = mlp.experts, mlp.per_token
            expert_weights += count * mlp.expert * form.experts / spread
            flops += count * 2 * together * mlp.expert * mlp.per_token / spread
            moe += count
        held = attention.tokens_read(int(context))
        shard = min(n, attention.kv_heads) if attention.kind == "gqa" else 1
        kv += count * own * (held * attention.cached * kv_bytes / shard + attention.state_bytes / n)
        attention_flops += count * 2 * own * held * attention.decode_width / n
    weights += model.embedding * 2 / n
    flops += 2 * own * model.embedding / n
    layers = len(model.layers)
    return DecodeWork(
        weights, expert_weights, experts, per_token, together, kv, flops, attention_flops,
        layers, moe, 2 * layers if n > 1 else 0, own * model.hidden * 2,
    )  # fmt: skip


def prefill_work(model: Model, form: Format, split: Split, tokens: float) -> PrefillWork:
    """The prefill of one prompt of so many tokens."""
    n = split.tensor
    weights = flops = attention_flops = 0.0
    moe = 0
    for layer, count in groups(model):
        attention, mlp = layer.attention, layer.mlp
        spread = n * split.data if mlp.experts else n
        active = covered(mlp.experts, mlp.per_token, tokens)
        moe += count if mlp.experts else 0
        weights += count * (
            (attention.parameters * form.attention + mlp.dense * form.dense) / n
            + mlp.expert * active * form.experts / spread
        )
        flops += count * 2 * tokens * (attention.parameters + mlp.dense) / n
        flops += count * 2 * tokens * mlp.expert * mlp.per_token / spread
        reach = attention.tokens_read(int(tokens))
        attention_flops += count * 2 * attention.width * reach * (tokens - reach / 2) / n
    layers = len(model.layers)
    reduces = 2 * layers if n > 1 else 0
    return PrefillWork(weights, flops, attention_flops, layers, moe, reduces, tokens * model.hidden * 2)
