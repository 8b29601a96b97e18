"""A model as far as its size and speed depend on it: layer by layer, in parameters and elements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

AttentionKind = Literal["gqa", "mla", "linear", "none"]


@dataclass(frozen=True, slots=True)
class Attention:
    """The attention of one layer.

    ``cached`` are elements in the KV cache per token, kept for the last ``window`` tokens (0: all of them);
    ``reads`` limits how many of them a decode step looks at (0: no limit), as sparse attention does.
    ``state_bytes`` is what a linear layer keeps per request instead. ``width`` is the sum over heads of the
    lengths of a key and of a value as they are multiplied in prefill, ``decode_width`` that in decode (MLA
    multiplies the compressed cache there). ``kv_heads`` bounds how far tensor parallelism splits the
    cache; an MLA cache is one head, so every tensor rank holds all of it.
    """

    kind: AttentionKind
    parameters: int
    heads: int
    kv_heads: int
    cached: int = 0
    window: int = 0
    reads: int = 0
    state_bytes: int = 0
    width: int = 0
    decode_width: int = 0

    def tokens_cached(self, context: int) -> int:
        """How many tokens of a context the cache holds."""
        return min(context, self.window) if self.window else context

    def tokens_read(self, context: int) -> int:
        """How many tokens of a context one decode step reads."""
        held = self.tokens_cached(context)
        return min(held, self.reads) if self.reads else held


@dataclass(frozen=True, slots=True)
class Mlp:
    """The feed-forward part of one layer.

    ``dense`` are parameters that each token uses (a dense layer, shared experts, the router), ``expert``
    those of one of the ``experts``, of which a token uses ``per_token``. ``inner`` is the inner width of what
    tensor parallelism cuts.
    """

    dense: int
    expert: int = 0
    experts: int = 0
    per_token: int = 0
    inner: int = 0


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer layer."""

    attention: Attention
    mlp: Mlp
    other: int = 0

    @property
    def parameters(self) -> int:
        """All resident parameters."""
        return self.attention.parameters + self.mlp.dense + self.mlp.expert * self.mlp.experts + self.other


@dataclass(frozen=True, slots=True)
class Format:
    """How the weights are stored: bytes per parameter by part, scales included.

    ``compute`` is the number format that the matrices are multiplied in (bf16, fp8 or fp4), ``block`` the
    size of the blocks that share a scale and must not be cut (0: none).
    """

    name: str
    attention: float
    dense: float
    experts: float
    compute: str
    block: int = 0
    published: str = ""


@dataclass(frozen=True, eq=False)
class Model:
    """A model of ``layers``; ``formats`` are the precisions it is published in, its own one first."""

    id: str
    name: str
    hidden: int
    vocabulary: int
    tied: bool
    layers: tuple[Layer, ...]
    context: int
    formats: tuple[Format, ...]
    source: str
    aliases: tuple[str, ...] = ()
    more: int = 0
    """Parameters outside of the layers and embeddings, such as a vision tower; every rank holds them."""
    distilled: tuple[str, ...] = ()
    measured: str = ""
    """The name under which published measurements know it."""
    api: tuple[str, ...] = ()
    tensors: Mapping[str, float] = field(default_factory=dict)
    """True bytes by part (attention, dense, experts, embedding), where a checkpoint was read."""

    @cached_property
    def embedding(self) -> int:
        """Parameters of the input embedding; the output head has as many, unless it is the same."""
        return self.vocabulary * self.hidden

    @cached_property
    def parameters(self) -> int:
        """All resident parameters."""
        ends = self.embedding * (1 if self.tied else 2)
        return ends + self.more + sum(layer.parameters for layer in self.layers)

    @cached_property
    def active(self) -> int:
        """Parameters that one token uses, the output head included and the input embedding not."""
        total = self.embedding
        for layer in self.layers:
            mlp = layer.mlp
            total += layer.attention.parameters + mlp.dense + mlp.expert * mlp.per_token + layer.other
        return total

    @cached_property
    def experts(self) -> int:
        """Experts of a layer, 0 for a dense model."""
        return max(layer.mlp.experts for layer in self.layers)

    @cached_property
    def attention(self) -> Literal["mha", "gqa", "mla", "hybrid"]:
        """The kind of attention, for a reader."""
        kinds = {layer.attention.kind for layer in self.layers} - {"none"}
        if len(kinds) > 1 or len({layer.attention.window for layer in self.layers}) > 1:
            return "hybrid"
        if kinds == {"mla"}:
            return "mla"
        first = next(layer.attention for layer in self.layers if layer.attention.kind != "none")
        return "mha" if first.heads == first.kv_heads else "gqa"

    def format(self, name: str) -> Format | None:
        """The format of a precision, None where it is not published in it."""
        return next((row for row in self.formats if row.name == name), None)
