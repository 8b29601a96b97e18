"""What the planner was built to say, each as a person would ask it."""

from __future__ import annotations

import pytest

H100 = ("--gpu", "h100-sxm", "--gpus-per-node", "8", "--nodes", "2")


def test_r1_in_sixteen_bits_does_not_fit_two_h100_nodes(answer):
    plan = answer("--model", "deepseek-ai/deepseek-r1", *H100, "--fabric", "ndr", "--precision", "bf16")
    assert plan["fits"] is False
    assert plan["memory"]["weights_total"] / 1e9 == pytest.approx(1342, abs=1)
    assert "1,342 GB" in plan["summary"]
    assert plan["prediction"] is None
    assert any(one["fits"] and one["kind"] == "quantize" for one in plan["alternatives"])


@pytest.mark.parametrize("where", [(*H100, "--fabric", "ndr"), ("--gpu", "h200-sxm")])
def test_r1_in_fp8_fits_two_h100_nodes_and_one_h200_node(answer, where):
    plan = answer("--model", "deepseek-ai/deepseek-r1", *where, "--precision", "fp8")
    assert plan["fits"] is True
    assert plan["tensor"] == 8


def test_r1_takes_its_own_format_by_itself(answer):
    plan = answer("--model", "deepseek-ai/deepseek-r1", *H100, "--fabric", "ndr")
    assert (plan["precision"], plan["tensor"], plan["pipeline"]) == ("fp8", 8, 2)
    assert plan["stages"] == [31, 30]
    assert [rank["layers"] for rank in plan["placement"]] == [[0, 30], [31, 60]]


def test_llama_405b_takes_both_nodes_as_stages(answer):
    plan = answer("--model", "meta/llama-3.1-405b-instruct", *H100, "--fabric", "ndr", "--precision", "bf16")
    assert (plan["tensor"], plan["pipeline"], plan["gpus"]) == (8, 2, 16)


def test_a_network_is_judged_for_a_split(answer):
    where = ("--model", "deepseek-ai/deepseek-r1", *H100, "--fabric", "100g")
    assert answer(*where, "--tensor", "16")["fabric"]["verdict"] == "unviable"
    assert answer(*where, "--tensor", "8", "--pipeline", "2")["fabric"]["verdict"] == "viable"


def test_every_network_of_the_article_in_a_table(answer):
    table = answer("--model", "deepseek-ai/deepseek-r1", *H100, "--fabric", "all")["fabric"]["table"]
    stages = {row["name"]: row for row in table if row["pipeline"] == 2}
    tensor = {row["name"]: row for row in table if row["tensor"] == 16}
    assert len(stages) == len(tensor) == 7
    assert stages["1 GbE"]["share"] > 20 * stages["InfiniBand NDR"]["share"]
    assert tensor["1 GbE"]["verdict"] == "unviable"
    assert stages["InfiniBand NDR"]["verdict"] == "viable"
    assert tensor["1 GbE"]["tpot_ms"] > 10 * tensor["InfiniBand NDR"]["tpot_ms"]
    assert tensor["NVLink (one domain)"]["verdict"] == "viable"


def test_what_spans_nodes_says_that_it_is_analytic(answer):
    plan = answer("--model", "deepseek-ai/deepseek-r1", *H100, "--fabric", "ndr")
    for name in ("ttft_unloaded_ms", "ttft_ms", "tpot_ms", "tokens_per_second", "tokens_per_second_per_user"):
        estimate = plan["prediction"][name]
        assert estimate["origin"] == "analytic"
        assert estimate["coverage"] is None
        assert estimate["low"] < estimate["value"] < estimate["high"]
    assert any("analytic" in note for note in plan["notes"])


def test_one_node_is_calibrated_and_tighter_where_it_was_measured(answer):
    def spread(engine: str) -> float:
        words = ("--model", "deepseek-ai/DeepSeek-R1", "--gpu", "h200-sxm", "--engine", engine)
        estimate = answer(*words)["prediction"]["tpot_ms"]
        assert estimate["origin"] == "calibrated"
        return float(estimate["high"] / estimate["low"])

    assert spread("sglang") < spread("vllm")


def test_the_measured_case_is_met(answer):
    # 8 x H200, SGLang 0.5.9, FP8, 1k/1k at 16: 16.6 ms and 286 ms (InferenceX, 2026-03-25).
    words = ("--model", "deepseek-ai/DeepSeek-R1", "--gpu", "h200-sxm", "--engine", "sglang", "--tensor", "8")
    shown = answer(*words, "--concurrency", "16")["prediction"]
    assert shown["tpot_ms"]["value"] == pytest.approx(16.6, rel=0.1)
    assert shown["ttft_ms"]["value"] == pytest.approx(286, rel=0.25)


def test_memory_parts_add_up(answer):
    plan = answer("--model", "deepseek-ai/deepseek-r1", *H100, "--fabric", "ndr")
    for stage in plan["memory"]["stages"]:
        parts = ("weights", "kv_cache", "activations", "overhead", "free")
        assert sum(stage[part] for part in parts) == stage["capacity"]


def test_every_number_is_explained(answer):
    plan = answer(
        "--model", "deepseek-ai/deepseek-r1", *H100, "--fabric", "ndr", "--engine", "nim", "--explain"
    )
    names = " ".join(one["number"] for one in plan["explanations"])
    for what in (
        "weights",
        "KV cache",
        "activations",
        "capacity",
        "step",
        "TPOT",
        "TTFT",
        "tokens per second",
    ):
        assert what in names
    for what in ("between nodes", "cost", "break-even"):
        assert what in names
    for one in plan["explanations"]:
        assert one["formula"]
        assert one["inputs"]
        assert one["source"]


def test_cost_counts_the_licence_and_refuses_a_break_even_that_cannot_be_served(answer):
    words = ("--model", "deepseek-ai/deepseek-r1", *H100, "--fabric", "ndr", "--engine", "nim")
    plan = answer(*words, "--gpu-price", "3", "--api-price", "0.66/1.98", "--concurrency", "4")
    cost = plan["cost"]
    assert cost["gpu_usd_per_hour"] == 48
    assert cost["licence_usd_per_hour"] == pytest.approx(16 * 4500 / 8760)
    ours = cost["break_even"][0]
    assert ours["reachable"] is False
    assert ours["tokens_per_month"] is None
    dear = answer(*words, "--gpu-price", "3", "--api-price", "50/200")["cost"]["break_even"][0]
    assert dear["reachable"] is True
    assert 0 < dear["tokens_per_month"] <= dear["capacity_tokens_per_month"]


def test_replicas_make_the_cost_a_staircase(answer):
    plan = answer("--model", "llama-3.1-70b", "--gpu", "h100-sxm", "--gpus-per-node", "4")
    points = plan["curves"]["cost"]
    month = plan["cost"]["usd_per_month"]
    assert {point["replicas"] for point in points} == {1, 2, 3, 4}
    assert all(point["self_usd"] == pytest.approx(point["replicas"] * month) for point in points)


def test_more_load_is_slower_for_each_and_more_in_all(answer):
    points = answer("--model", "llama-3.1-70b", "--gpu", "h100-sxm", "--gpus-per-node", "4")["curves"][
        "latency"
    ]
    assert [point["tpot_ms"] for point in points] == sorted(point["tpot_ms"] for point in points)
    rates = [point["tokens_per_second"] for point in points if point["fits"]]
    assert rates == sorted(rates)


def test_goals_and_limits_change_the_choice(answer):
    words = ("--model", "llama-3.1-8b", "--gpu", "h100-sxm", "--concurrency", "64")
    fewest, fastest = answer(*words, "--goal", "gpus"), answer(*words, "--goal", "latency")
    assert fewest["gpus"] == 1
    assert fastest["prediction"]["tpot_ms"]["value"] < fewest["prediction"]["tpot_ms"]["value"]
    limit = (fewest["prediction"]["tpot_ms"]["value"] + fastest["prediction"]["tpot_ms"]["value"]) / 2
    bounded = answer(*words, "--goal", "gpus", "--tpot", f"{limit:.2f}")
    assert 1 < bounded["gpus"] <= fastest["gpus"]
    assert bounded["prediction"]["tpot_ms"]["value"] <= limit


@pytest.mark.parametrize(
    ("model", "sixteen", "eight"),
    [
        ("meta/llama-3.1-70b-instruct", True, True),
        ("mistralai/mixtral-8x22b", True, True),
        ("meta/llama-3.1-405b-instruct", False, True),
        ("deepseek-ai/deepseek-r1", False, False),
        ("nvidia/nemotron-340b", False, True),
    ],
)
def test_the_articles_table_of_models_on_one_node(answer, model, sixteen, eight):
    for precision, fits in (("bf16", sixteen), ("fp8", eight)):
        plan = answer("--model", model, "--gpu", "h100-sxm", "--precision", precision, "--concurrency", "1")
        assert plan["fits"] is fits


def test_text_answers_the_question_first(call):
    result = call("--model", "deepseek-ai/deepseek-r1", *H100, "--fabric", "ndr")
    first = result.stdout.splitlines()[0]
    assert "deepseek-ai/DeepSeek-R1 in fp8 fits on 2 nodes with TP8 x PP2" in first
    for word in ("per token", "fabric", "cost", "analytic", "Alternatives", "31/30"):
        assert word in result.stdout
