"""Number formats of weights: bytes per parameter with scales, and which format multiplies them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nimctl.plan.model import Format

BYTES = {
    "bf16": 2.0,
    "fp16": 2.0,
    "int8": 1.0,
    # One 32-bit scale for each block of 128 x 128.
    "fp8": 1.0 + 4 / 128**2,
    # One 8-bit scale for 16 values.
    "nvfp4": 0.5 + 1 / 16,
    # One 8-bit scale for 32 values.
    "mxfp4": 0.5 + 1 / 32,
    # One 16-bit scale for 32 values.
    "int4": 0.5 + 2 / 32,
}
COMPUTE = {"nvfp4": "fp4", "mxfp4": "fp4", "int4": "bf16", "int8": "bf16", "fp16": "bf16"}
"""Weights of four bits without hardware for them are multiplied in 16."""


def weight_format(
    name: str, attention: str | None = None, dense: str | None = None, experts: str | None = None,
    block: int = 0, published: str = "",
) -> Format:  # fmt: skip
    """The format of a precision, where parts are stored otherwise with their own."""
    plain = "nvfp4" if name == "fp4" else name
    return Format(
        plain,
        BYTES[attention or plain],
        BYTES[dense or plain],
        BYTES[experts or plain],
        COMPUTE.get(plain, plain),
        block,
        published,
    )


def native_format(config: Mapping[str, Any]) -> Format:
    """The format that a config says its checkpoint is in. 16 bits where it says nothing."""
    said = config.get("quantization_config") or config.get("compression_config") or {}
    method = str(said.get("quant_method", "")).lower() if isinstance(said, Mapping) else ""
    if method == "fp8":
        block = said.get("weight_block_size")
        return weight_format("fp8", block=int(block[0]) if isinstance(block, list) and block else 0)
    if method == "mxfp4":
        return weight_format("mxfp4", "bf16", "bf16")
    if method == "modelopt":
        return weight_format("nvfp4" if "FP4" in str(said.get("quant_algo", "")).upper() else "fp8")
    if method == "compressed-tensors":
        bits, kind = _compressed(said)
        if bits == 4:
            return weight_format("nvfp4") if kind == "float" else weight_format("int4", "bf16", "bf16")
        if bits == 8:
            return weight_format("fp8" if kind == "float" else "int8")
    if method in ("awq", "gptq"):
        return weight_format("int4" if said.get("bits", 4) == 4 else "int8")
    return weight_format("bf16")


def _compressed(said: Mapping[str, Any]) -> tuple[int, str]:
    groups = said.get("config_groups") or {}
    for group in groups.values() if isinstance(groups, Mapping) else ():
        weights = group.get("weights") or {}
        return int(weights.get("num_bits") or 0), str(weights.get("type", ""))
    return 0, ""


def default_formats(native: Format) -> tuple[Format, ...]:
    """A model's own format, and those that engines make of it or that are commonly published."""
    more = [weight_format(name) for name in ("bf16", "fp8", "nvfp4") if name != native.name]
    return (native, *more)
