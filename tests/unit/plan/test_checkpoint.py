from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from nimctl.errors import RejectedError
from nimctl.plan import checkpoint, memory
from nimctl.plan.formats import weight_format

CONFIG = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "intermediate_size": 128,
    "vocab_size": 256,
    "max_position_embeddings": 512,
}


def folder(path: Path, dtype: str = "F8_E4M3", spare: bool = False) -> Path:
    tensors: dict[str, dict[str, object]] = {
        "model.embed_tokens.weight": {"dtype": "BF16", "shape": [256, 64]},
        "lm_head.weight": {"dtype": "BF16", "shape": [256, 64]},
    }
    for layer in range(3 if spare else 2):
        for name in "qkvo":
            tensors[f"model.layers.{layer}.self_attn.{name}_proj.weight"] = {
                "dtype": dtype,
                "shape": [64, 64],
            }
        for name in ("gate", "up", "down"):
            tensors[f"model.layers.{layer}.mlp.{name}_proj.weight"] = {"dtype": dtype, "shape": [128, 64]}
    text = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    (path / "config.json").write_text(json.dumps(CONFIG))
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    return path


def test_true_sizes_take_the_place_of_computed_ones(tmp_path):
    model = checkpoint.read(folder(tmp_path))
    layers = 2 * (4 * 64 * 64 + 3 * 128 * 64)
    assert model.tensors["attention"] + model.tensors["dense"] == layers
    assert memory.weights_total(model, model.formats[0]) == layers + 2 * 256 * 64 * 2
    assert model.formats[0].name == "fp8"


def test_layers_that_only_predict_further_tokens_are_not_loaded(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert (
        checkpoint.read(folder(tmp_path / "a")).tensors
        == checkpoint.read(folder(tmp_path / "b", spare=True)).tensors
    )


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"short", "no safetensors"),
        (struct.pack("<Q", 9) + b"{" * 9, "no JSON"),
        (struct.pack("<Q", 50) + b"{}", "cut off"),
    ],
)
def test_files_that_are_none(tmp_path, content, says):
    folder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(RejectedError, match=says):
        checkpoint.read(tmp_path)


def test_a_plan_from_a_folder(answer, tmp_path):
    plan = answer(
        "--config",
        str(folder(tmp_path)),
        "--gpu",
        "l4",
        "--gpus-per-node",
        "1",
        "--isl",
        "100",
        "--osl",
        "100",
    )
    assert plan["fits"] is True
    assert plan["model"]["source"].endswith("1 safetensors files")


def test_formats_count_their_scales():
    assert weight_format("nvfp4").experts == 0.5625
    assert weight_format("fp8").experts == pytest.approx(1.0002, abs=1e-4)
