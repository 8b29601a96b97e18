"""A model from its ``config.json``, as Hugging Face publishes it; the catalogue's rows use the same words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nimctl.errors import RejectedError
from nimctl.plan.formats import default_formats, native_format
from nimctl.plan.model import Attention, Format, Layer, Mlp, Model

NEEDED = ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
UNKNOWN = {
    "ssm_state_size": "state-space layers",
    "linear_attn_config": "KDA layers",
    "compress_ratios": "a compressed KV cache",
    "sparse_attention_config": "block-sparse attention",
    "block_configs": "layers that differ one by one",
}
"""Keys of architectures whose size this reader would get wrong."""

_UNGATED = ("relu2", "relu", "gelu_new")
_EXPERTS = ("n_routed_experts", "num_experts", "num_local_experts")
_PER_TOKEN = ("num_experts_per_tok", "num_experts_per_token", "experts_per_token")


class _Config:
    """A config with its nested text model on top, and errors that name the file and the field."""

    def __init__(self, raw: Mapping[str, Any], where: str) -> None:
        nested = raw.get("text_config")
        self.raw: dict[str, Any] = {**raw, **nested} if isinstance(nested, dict) else dict(raw)
        self.where = where

    def number(self, *names: str, default: int | None = None) -> int:
        for name in names:
            value = self.raw.get(name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise RejectedError(f"{self.where}: {name}: found {value!r}, expected a whole number")
            return value
        if default is None:
            raise RejectedError(
                f"{self.where}: has no {' or '.join(names)}; a config.json with "
                f"{', '.join(NEEDED)} is needed to size a model"
            )
        return default


def read(path: Path) -> Model:
    """The model of a ``config.json`` or of a folder that holds one. Raises RejectedError."""
    file = path / "config.json" if path.is_dir() else path
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RejectedError(f"{file}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise RejectedError(f"{file}: is no JSON: {error}") from error
    if not isinstance(raw, dict):
        raise RejectedError(f"{file}: expected a JSON object, as config.json of a model is one")
    name = raw.get("_name_or_path") or (path.name if path.is_dir() else path.stem)
    return understand(raw, str(name), str(file))


def understand(
    raw: Mapping[str, Any], name: str, where: str, formats: Sequence[Format] | None = None, **more: Any
) -> Model:
    """A model from the keys of a config; ``more`` are further fields of Model. Raises RejectedError."""
    config = _Config(raw, where)
    for key, what in UNKNOWN.items():
        if config.raw.get(key):
            raise RejectedError(
                f"{where}: {key}: describes {what}, which cannot be sized from a config; give the folder of "
                "the checkpoint with --config, or a catalogue row of your own"
            )
    hidden, layers = (config.number(key) for key in NEEDED[:2])
    if not hidden or not layers:
        raise RejectedError(f"{where}: hidden_size and num_hidden_layers must not be 0")
    built = tuple(_layer(config, hidden, index) for index in range(layers))
    unique = {layer: layer for layer in built}
    return Model(
        id=more.pop("id", name),
        name=name,
        hidden=hidden,
        vocabulary=config.number("vocab_size"),
        tied=bool(config.raw.get("tie_word_embeddings", False)),
        layers=tuple(unique[layer] for layer in built),
        context=config.number("max_position_embeddings", "seq_length", "n_positions", default=8192),
        formats=tuple(formats) if formats is not None else default_formats(native_format(config.raw)),
        source=more.pop("source", where),
        **more,
    )


def _layer(config: _Config, hidden: int, index: int) -> Layer:
    attention = _attention(config, hidden, index)
    return Layer(attention, _mlp(config, hidden, index), 2 * hidden)


def _kind(config: _Config, index: int) -> str:
    kinds = config.raw.get("layer_types")
    if isinstance(kinds, list) and index < len(kinds):
        return str(kinds[index])
    every = config.number("full_attention_interval", default=0)
    if every and config.raw.get("linear_num_value_heads"):
        return "full_attention" if (index + 1) % every == 0 else "linear_attention"
    every = config.number("no_rope_layer_interval", default=4)
    if config.raw.get("attention_chunk_size") and every:
        return "full_attention" if (index + 1) % every == 0 else "chunked_attention"
    if config.raw.get("sliding_window") and config.raw.get("use_sliding_window", True):
        return "sliding_attention"
    return "full_attention"


def _attention(config: _Config, hidden: int, index: int) -> Attention:
    heads = config.number("num_attention_heads")
    if not heads:
        raise RejectedError(f"{config.where}: num_attention_heads must not be 0")
    if config.raw.get("kv_lora_rank"):
        return _mla(config, hidden, heads)
    kind = _kind(config, index)
    if kind == "linear_attention":
        return _linear(config, hidden, heads)
    kv_heads = config.number("num_key_value_heads", default=heads) or heads
    size = config.number("head_dim", default=hidden // heads) or hidden // heads
    gate = 2 if config.raw.get("attn_output_gate") else 1
    window = 0
    if kind in ("sliding_attention", "chunked_attention"):
        window = config.number("sliding_window", "attention_chunk_size", default=0)
    parameters = hidden * size * (heads * (1 + gate) + 2 * kv_heads)
    width = 2 * heads * size
    return Attention("gqa", parameters, heads, kv_heads, 2 * kv_heads * size, window, 0, 0, width, width)


def _mla(config: _Config, hidden: int, heads: int) -> Attention:
    rank, rope = config.number("kv_lora_rank"), config.number("qk_rope_head_dim")
    nope, value = config.number("qk_nope_head_dim"), config.number("v_head_dim")
    query = config.number("q_lora_rank", default=0)
    wide = heads * (nope + rope)
    parameters = hidden * query + query * wide if query else hidden * wide
    parameters += hidden * (rank + rope) + rank * heads * (nope + value) + heads * value * hidden
    cached, reads = rank + rope, 0
    if config.raw.get("index_topk"):
        index_heads, index_size = config.number("index_n_heads"), config.number("index_head_dim")
        parameters += (query or hidden) * index_heads * index_size + hidden * (index_size + index_heads)
        # The indexer caches one FP8 key for each token: half as many 2-byte elements.
        cached += index_size // 2
        reads = config.number("index_topk")
    return Attention(
        "mla", parameters, heads, 1, cached, 0, reads, 0,
        heads * (nope + rope + value), heads * (2 * rank + rope),
    )  # fmt: skip


def _linear(config: _Config, hidden: int, heads: int) -> Attention:
    key_heads, value_heads = config.number("linear_num_key_heads"), config.number("linear_num_value_heads")
    key_size, value_size = config.number("linear_key_head_dim"), config.number("linear_value_head_dim")
    keys, values_ = key_heads * key_size, value_heads * value_size
    kernel = config.number("linear_conv_kernel_dim", default=4)
    parameters = hidden * (2 * keys + 2 * values_ + 2 * value_heads) + values_ * hidden
    parameters += kernel * (2 * keys + values_)
    # The state is kept in 32 bits, the last tokens of the convolution in 16.
    state = value_heads * key_size * value_size * 4 + kernel * (2 * keys + values_) * 2
    return Attention("linear", parameters, heads, value_heads, 0, 0, 0, state)


def _mlp(config: _Config, hidden: int, index: int) -> Mlp:
    matrices = 2 if str(config.raw.get("hidden_act")) in _UNGATED else 3
    experts = config.number(*_EXPERTS, default=0)
    inner = config.number("intermediate_size", default=4 * hidden)
    if not experts or not _sparse(config, index):
        inner = config.number("intermediate_size_mlp", "dense_intermediate_size", default=inner)
        return Mlp(matrices * hidden * inner, inner=inner)
    per_token = config.number(*_PER_TOKEN)
    if not 0 < per_token <= experts:
        raise RejectedError(f"{config.where}: {per_token} of {experts} experts per token make no sense")
    size = config.number("moe_intermediate_size", default=inner) or inner
    shared = config.number("shared_expert_intermediate_size", "shared_intermediate_size", default=0)
    if not shared:
        default = (
            1 if config.raw.get("model_type") == "llama4" or "interleave_moe_layer_step" in config.raw else 0
        )
        shared = size * config.number("n_shared_experts", default=default)
    dense = hidden * experts + matrices * hidden * shared
    return Mlp(dense, matrices * hidden * size, experts, per_token, size)


def _sparse(config: _Config, index: int) -> bool:
    """Whether a layer of a mixture of experts has experts."""
    frequency = config.raw.get("moe_layer_freq")
    if isinstance(frequency, list):
        return bool(frequency[index])
    if index < config.number("first_k_dense_replace", default=0):
        return False
    if index in (config.raw.get("mlp_only_layers") or ()):
        return False
    step = config.number("interleave_moe_layer_step", "decoder_sparse_step", default=1) or 1
    return (index + 1) % step == 0
