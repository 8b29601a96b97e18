"""A model from a local checkpoint: config.json, and true sizes from the headers of its safetensors files.

Only headers are read, a few kilobytes of each file: eight bytes of length, then JSON with the shape and
number format of every tensor (https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import re
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from nimctl.errors import RejectedError
from nimctl.plan import config_json
from nimctl.plan.model import Format, Model

_LARGEST = 100 * 2**20
_BITS = {
    "F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32,
    "BF16": 16, "F16": 16, "I16": 16, "U16": 16,
    "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I8": 8, "U8": 8, "BOOL": 8, "F4": 4,
}  # fmt: skip
_EXPERT = re.compile(r"\.experts\.|\.experts$|\.experts_|mlp\.experts")
_ATTENTION = re.compile(r"attn|attention")
_EMBEDDING = re.compile(r"embed|lm_head|wte|\.head\.")
_PREDICTION = re.compile(r"(^|\.)mtp\.|nextn")


def read(path: Path) -> Model:
    """The model of a ``config.json``, or of a checkpoint folder. Raises RejectedError."""
    if not path.exists():
        raise RejectedError(f"{path}: does not exist; expected a config.json or a folder that holds one")
    model = config_json.read(path)
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else []
    if not files:
        return model
    sizes, kinds = _sizes(files, len(model.layers))
    form = _format(model, sizes, kinds)
    rest = tuple(other for other in model.formats if other.name != form.name)
    return replace(
        model,
        tensors=sizes,
        formats=(form, *rest),
        source=f"{path}: headers of {len(files)} safetensors files",
    )


def _sizes(files: list[Path], layers: int) -> tuple[dict[str, float], Counter[str]]:
    """Bytes by part, and bytes by number format of what is no embedding."""
    sizes: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    for file in files:
        for name, tensor in header(file).items():
            if name == "__metadata__" or _spare(name, layers):
                continue
            size = _size(file, name, tensor)
            part = _part(name)
            sizes[part] += size
            if part != "embedding":
                kinds[str(tensor["dtype"])] += size
    return {part: float(size) for part, size in sizes.items()}, kinds


def header(file: Path) -> dict[str, Any]:
    """The header of one safetensors file. Raises RejectedError."""
    try:
        with file.open("rb") as stream:
            start = stream.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= length <= _LARGEST:
                raise RejectedError(f"{file}: is no safetensors file: its header would have {length} bytes")
            text = stream.read(length)
        data = json.loads(text)
    except OSError as error:
        raise RejectedError(f"{file}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RejectedError(f"{file}: is no safetensors file: its header is no JSON") from error
    if len(text) < length or not isinstance(data, dict):
        raise RejectedError(f"{file}: is cut off within its header")
    return data


def _size(file: Path, name: str, tensor: Any) -> int:
    try:
        count = 1
        for extent in tensor["shape"]:
            count *= int(extent)
        return count * _BITS[tensor["dtype"]] // 8
    except (KeyError, TypeError, ValueError) as error:
        raise RejectedError(f"{file}: {name}: has no shape or no number format that is known") from error


def _spare(name: str, layers: int) -> bool:
    """Tensors that serving does not load: layers beyond the last one, which predict further tokens."""
    found = re.search(r"layers\.(\d+)\.", name)
    return bool(_PREDICTION.search(name)) or (found is not None and int(found[1]) >= layers)


def _part(name: str) -> str:
    if _EMBEDDING.search(name):
        return "embedding"
    if _EXPERT.search(name) and "shared" not in name:
        return "experts"
    return "attention" if _ATTENTION.search(name) else "dense"


def _format(model: Model, sizes: dict[str, float], kinds: Counter[str]) -> Format:
    """The config's format, with the bytes per parameter that the tensors really have."""
    native = model.formats[0]
    main = kinds.most_common(1)[0][0] if kinds else ""
    if main.startswith("F8") and native.name == "bf16":
        native = next((form for form in model.formats if form.name == "fp8"), native)
    count: Counter[str] = Counter()
    for layer in model.layers:
        count["attention"] += layer.attention.parameters
        count["dense"] += layer.mlp.dense
        count["experts"] += layer.mlp.expert * layer.mlp.experts

    def each(part: str, otherwise: float) -> float:
        return sizes[part] / count[part] if count[part] and sizes.get(part) else otherwise

    return replace(
        native,
        attention=each("attention", native.attention),
        dense=each("dense", native.dense),
        experts=each("experts", native.experts),
        published=native.published or "this checkpoint",
    )
