from __future__ import annotations

import pytest

from nimctl.errors import RejectedError
from nimctl.plan import tables
from nimctl.plan.catalogue import Catalogue


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.mark.parametrize(
    ("name", "billions", "active"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8.03, None),
        ("meta-llama/Llama-3.1-405B-Instruct", 405.9, None),
        ("mistralai/Mixtral-8x22B-Instruct-v0.1", 140.6, 39),
        ("nvidia/Nemotron-4-340B-Instruct", 341, None),
        ("deepseek-ai/DeepSeek-R1", 671, 37),
        ("Qwen/Qwen3-235B-A22B", 235.1, 22),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct", 480, 35),
        ("Qwen/Qwen3.5-397B-A17B", 397, 17),
        ("moonshotai/Kimi-K2-Instruct", 1026, 32),
        ("openai/gpt-oss-120b", 116.8, 5.1),
        ("zai-org/GLM-5", 744, 40),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", 32.8, None),
    ],
)
def test_published_sizes_follow_from_the_configs(catalogue, name, billions, active):
    model, _ = catalogue.find(name)
    assert model.parameters / 1e9 == pytest.approx(billions, rel=0.005)
    if active:
        assert model.active / 1e9 == pytest.approx(active, rel=0.05)


@pytest.mark.parametrize(
    ("name", "row", "precision"),
    [
        ("nvidia/nemotron-340b", "nvidia/Nemotron-4-340B-Instruct", ""),
        ("NVIDIA/Nemotron-340B", "nvidia/Nemotron-4-340B-Instruct", ""),
        ("deepseek-ai/deepseek-r1", "deepseek-ai/DeepSeek-R1", ""),
        ("DEEPSEEK-AI/DEEPSEEK-R1", "deepseek-ai/DeepSeek-R1", ""),
        ("meta/llama-3.1-405b-instruct", "meta-llama/Llama-3.1-405B-Instruct", ""),
        ("meta/llama-3_1-405b-instruct", "meta-llama/Llama-3.1-405B-Instruct", ""),
        ("llama-3.1-405b", "meta-llama/Llama-3.1-405B-Instruct", ""),
        ("nvidia/DeepSeek-R1-NVFP4", "deepseek-ai/DeepSeek-R1", "nvfp4"),
        ("meta-llama/Llama-3.1-405B-Instruct-FP8", "meta-llama/Llama-3.1-405B-Instruct", "fp8"),
        ("mixtral-8x22b", "mistralai/Mixtral-8x22B-Instruct-v0.1", ""),
    ],
)
def test_names_in_any_case_and_of_either_registry(catalogue, name, row, precision):
    model, implied = catalogue.find(name)
    assert (model.id, implied) == (row, precision)


def test_every_row_builds_and_names_its_source(catalogue):
    for name in catalogue.names:
        model, _ = catalogue.find(name)
        assert model.source
        assert all(form.published for form in model.formats)
        for other in model.distilled:
            assert other in catalogue.names


def test_own_rows(tmp_path):
    (tmp_path / "models.yml").write_text(
        f"plugin: {tables.PLUGIN}\n"
        "acme/own-7b:\n"
        "  config: {hidden_size: 4096, num_hidden_layers: 32, num_attention_heads: 32,\n"
        "    intermediate_size: 11008, vocab_size: 32000}\n"
        "  formats: [{name: bf16, published: acme/own-7b}]\n"
        "  source: ours\n"
    )
    model, _ = Catalogue(tmp_path).find("ACME/Own-7B")
    assert model.parameters / 1e9 == pytest.approx(6.74, rel=0.01)
    (tmp_path / "models.yml").write_text("acme/own-7b: {}\n")
    with pytest.raises(RejectedError, match="plugin"):
        Catalogue(tmp_path)
