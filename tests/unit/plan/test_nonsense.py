"""Questions that make no sense: exit code 2, and a message that names what is wrong."""

from __future__ import annotations

import json

import pytest

MODEL = ("--model", "llama-3.1-70b")
GPU = ("--gpu", "h100-sxm")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((*MODEL, *GPU, "--nodes", "0"), "--nodes 0"),
        ((*MODEL, *GPU, "--gpus-per-node", "-1"), "--gpus-per-node -1"),
        ((*MODEL, *GPU, "--isl", "0"), "--isl 0"),
        ((*MODEL, *GPU, "--isl", "200000"), "131072"),
        ((*MODEL, *GPU, "--concurrency", "0"), "--concurrency 0"),
        ((*MODEL, "--gpu", "h1000-sxm"), "did you mean h100-sxm?"),
        ((*MODEL, "--gpu", "stand-in"), "no memory to plan for"),
        ((*MODEL, "--gpu", "v100-sxm-32"), "bf16_tflops"),
        (("--model", "deepsek-r1", *GPU), "did you mean deepseek-ai/DeepSeek-R1"),
        ((*MODEL, *GPU, "--tensor", "3"), "3 tensor ranks do not divide the 64 attention heads"),
        ((*MODEL, *GPU, "--tensor", "0"), "--tensor 0"),
        ((*MODEL, *GPU, "--tensor", "16"), "there are 8"),
        ((*MODEL, *GPU, "--pipeline", "81"), "80 layers"),
        ((*MODEL, *GPU, "--nodes", "2"), "--fabric"),
        ((*MODEL, *GPU, "--nodes", "2", "--fabric", "nrd"), "did you mean ndr?"),
        ((*MODEL, *GPU, "--precision", "int3"), "bf16, fp8"),
        ((*MODEL, "--gpu", "a100-sxm-80", "--precision", "fp8"), "no FP8 arithmetic"),
        ((*MODEL, *GPU, "--goal", "cheap"), "--goal cheap"),
        ((*MODEL, *GPU, "--engine", "tgi"), "--engine tgi"),
        ((*MODEL, *GPU, "--api-price", "2"), "IN/OUT"),
        ((*MODEL, *GPU, "--tpot", "-5"), "--tpot -5"),
        (MODEL, "--gpu"),
        (GPU, "--model"),
        (("r1", *MODEL, *GPU), "-i"),
    ],
)
def test_is_refused(call, words, says):
    result = call(*words)
    assert result.exit_code == 2
    assert says in str(result.exception)
    assert result.stdout == ""


@pytest.mark.parametrize("missing", ["hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"])
def test_a_config_without_what_is_needed(call, tmp_path, missing):
    config = {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "vocab_size": 32000,
        "intermediate_size": 11008,
    }
    del config[missing]
    file = tmp_path / "config.json"
    file.write_text(json.dumps(config))
    result = call("--config", str(file), *GPU)
    assert result.exit_code == 2
    assert missing in str(result.exception)
    assert str(file) in str(result.exception)


@pytest.mark.parametrize(
    ("text", "says"),
    [("{", "no JSON"), ("[]", "JSON object"), ('{"hidden_size": "big"}', "whole number")],
)
def test_a_config_that_is_none(call, tmp_path, text, says):
    file = tmp_path / "config.json"
    file.write_text(text)
    result = call("--config", str(file), *GPU)
    assert result.exit_code == 2
    assert says in str(result.exception)
