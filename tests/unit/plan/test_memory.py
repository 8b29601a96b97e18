from __future__ import annotations

import pytest

from nimctl.plan import memory
from nimctl.plan.catalogue import Catalogue
from nimctl.plan.split import why_not
from nimctl.plan.work import Split, covered


def of(name: str):
    return Catalogue().find(name)[0]


def per_token(name: str, tensor: int) -> float:
    return sum(memory.kv_per_token(layer.attention, tensor, 2) for layer in of(name).layers)


def test_a_gqa_cache_is_split_as_far_as_it_has_heads():
    assert per_token("llama-3.1-405b", 1) == 516_096
    assert per_token("llama-3.1-405b", 8) == 516_096 / 8
    assert per_token("llama-3.1-405b", 16) == 516_096 / 8


def test_an_mla_cache_lies_whole_on_every_tensor_rank():
    assert per_token("deepseek-r1", 1) == per_token("deepseek-r1", 8) == 70_272


def test_a_sliding_window_bounds_what_a_request_takes():
    layers = of("gpt-oss-120b").layers
    short, long = (
        [memory.kv_per_request(layer, tokens, 1, 2) for layer in layers] for tokens in (1024, 8192)
    )
    assert long[0] == short[0]
    assert long[1] == 8 * short[1]


@pytest.mark.parametrize(
    ("layers", "pipeline", "parts"), [(61, 2, (31, 30)), (126, 4, (32, 32, 31, 31)), (7, 1, (7,))]
)
def test_stages_are_as_even_as_can_be(layers, pipeline, parts):
    assert memory.stages(layers, pipeline) == parts


def test_experts_covered_grow_with_the_batch():
    assert covered(256, 8, 1) == pytest.approx(8)
    assert covered(256, 8, 16) == pytest.approx(102, abs=1)
    assert covered(256, 8, 64) == pytest.approx(222, abs=1)


def test_splits_that_cannot_be():
    r1, llama = of("deepseek-r1"), of("llama-3.1-70b")
    fp8 = r1.formats[0]
    assert why_not(r1, fp8, Split(16)) == ""
    assert "blocks of 128" in why_not(r1, fp8, Split(32))
    assert "64 attention heads" in why_not(llama, llama.formats[0], Split(3))
    assert "leave ranks unlike" in why_not(llama, llama.formats[0], Split(4, 3), 8)
