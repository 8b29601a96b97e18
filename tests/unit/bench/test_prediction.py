"""The plan's prediction beside what is measured."""

import json
import textwrap

import pytest
from typer.testing import CliRunner

from nimctl.bench.prediction import predicted
from nimctl.bench.result import Setup
from nimctl.errors import RejectedError

H200 = Setup("h200-sxm", "DeepSeek-R1", "sglang", None, "fp8", 1, 8, 8, 1)
NODES = Setup("h100-sxm", "deepseek-ai/deepseek-r1", "sglang", None, "fp8", 2, 8, 8, 2)


def test_each_level_has_its_own():
    one, many = predicted(H200, [64, 1], 1024, 1024)
    assert (one.concurrency, many.concurrency) == (1, 64)
    for item in (one, many):
        for number in (item.ttft_ms, item.tpot_ms, item.tokens_per_second):
            assert number.low <= number.value <= number.high
        assert item.tpot_ms.origin == "calibrated"
    assert one.tpot_ms.value < many.tpot_ms.value
    # Measured in public on this setup: 33 ms at 64 requests in flight.
    assert many.tpot_ms.value == pytest.approx(33, rel=0.3)


def test_a_replica_over_nodes_needs_to_know_the_network():
    with pytest.raises(RejectedError, match="--fabric"):
        predicted(NODES, [1], 1024, 1024)
    [item] = predicted(NODES, [1], 1024, 1024, fabric="ndr")
    assert item.tpot_ms.origin == "analytic"


def test_a_description_says_it_all(tmp_path):
    text = """
        plugin: nimctl.multinode.cluster
        name: demo
        connection: {user: ubuntu}
        nodes:
          - hosts: "gpu[01-02]"
            addresses: "10.0.0.[1-2]"
            gpu: {model: h100-sxm, count: 8}
            fabric: {kind: infiniband, rate: ndr, ports: 8, interface: ib0, addresses: "10.1.0.[1-2]"}
        deployments:
          - name: r1
            model: deepseek-ai/deepseek-r1
            engine: sglang
            image: docker.io/lmsysorg/sglang:v0.5.5
            hosts: "gpu[01-02]"
            parallel: {tensor: 8, pipeline: 2}
            precision: fp8
    """
    (tmp_path / "cluster.yml").write_text(textwrap.dedent(text))
    [item] = predicted(NODES, [4], 1024, 1024, inventory=tmp_path, deployment="r1")
    [same] = predicted(NODES, [4], 1024, 1024, fabric="ndr")
    assert item == same


@pytest.mark.parametrize(
    "setup", [Setup("h900", "deepseek-r1", tp=8), Setup("h100-sxm", "no-such-model", tp=8)]
)
def test_what_the_plan_does_not_know(setup):
    with pytest.raises(RejectedError):
        predicted(setup, [1], 1024, 1024)


def test_a_bench_shows_it(endpoint, tmp_path):
    import typer

    from nimctl.cli import bench

    app = typer.Typer()
    bench.register(app)
    app.callback()(lambda: None)
    words = [
        "bench",
        "--url",
        endpoint.url,
        "--isl",
        "64",
        "--osl",
        "8",
        "--requests",
        "2",
        "--concurrency",
        "1,2",
    ]
    setup = ["--gpu", "h200-sxm", "--tensor", "8", "--engine", "sglang", "--precision", "fp8"]
    done = CliRunner().invoke(app, [*words, *setup, "--serves", "deepseek-r1"])
    assert "PREDICTED" in done.stdout
    done = CliRunner().invoke(app, [*words, *setup, "--format", "json"])
    result = json.loads(done.stdout)
    assert result["prediction"] == []
    assert any("no prediction beside it" in note for note in result["notes"]), (
        "tiny is no model of the catalogue"
    )
