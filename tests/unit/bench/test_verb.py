"""``nimctl bench`` as its user calls it."""

import json
import textwrap

import pytest
from typer.testing import CliRunner

from nimctl.cli import bench as verb
from nimctl.cli.app import VERBS
from nimctl.errors import RejectedError

DESCRIPTION = """
    plugin: nimctl.multinode.cluster
    name: demo
    connection: {user: ubuntu}
    stack: {firewall: {mode: ignore}}
    nodes:
      - hosts: "gpu[01-04]"
        addresses: "127.0.0.[1-4]"
        gpu: {model: h100-sxm, count: 8}
        fabric: {kind: infiniband, rate: ndr, ports: 8, interface: ib0, addresses: "10.1.0.[1-4]"}
    deployments:
      - name: r1
        model: deepseek-ai/deepseek-r1
        served_name: tiny
        engine: vllm
        image: docker.io/vllm/vllm-openai:v0.11.0
        hosts: "gpu[01-02]"
        parallel: {tensor: 8}
        precision: fp8
        port: PORT
      - name: other
        model: meta/llama
        engine: vllm
        image: docker.io/vllm/vllm-openai:v0.11.0
        hosts: gpu04
"""
QUICK = ("--isl", "50", "--osl", "4", "--requests", "3", "--warmup", "0", "--concurrency", "1,2")


@pytest.fixture(scope="module")
def app():
    import typer

    own = typer.Typer()
    verb.register(own)
    own.callback()(lambda: None)
    return own


@pytest.fixture
def call(app):
    def call(*words):
        done = CliRunner().invoke(app, ["bench", *map(str, words)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return call


@pytest.fixture
def inventory(endpoint, tmp_path):
    folder = tmp_path / "inventory"
    folder.mkdir()
    text = textwrap.dedent(DESCRIPTION).replace("PORT", endpoint.url.rpartition(":")[2])
    (folder / "cluster.yml").write_text(text)
    return folder


def test_an_endpoint_by_its_url(endpoint, call):
    done = call("--url", f"{endpoint.url}/v1/", *QUICK)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"tiny at {endpoint.url}: 50 tokens in, 4 out")
    assert "TTFT p50 / p90 / p99" in done.stdout
    assert "concurrency 2: 3 answers" in done.stderr


def test_json_is_all_that_stdout_has(endpoint, call):
    done = call("--url", endpoint.url, *QUICK, "--format", "json", "--gpu", "h200-sxm", "--tensor", "8")
    result = json.loads(done.stdout)
    assert [level["concurrency"] for level in result["levels"]] == [1, 2]
    assert result["rows"][0]["system"] == "h200-sxm"
    assert result["rows"][0]["tp"] == 8


def test_a_deployment_of_a_description(endpoint, call, inventory, tmp_path):
    file = tmp_path / "result.json"
    done = call("-i", inventory, "r1", *QUICK, "--save", file)
    assert done.exit_code == 0, done.stderr
    result = json.loads(file.read_text())
    assert result["endpoint"] == {
        "url": endpoint.url, "api": "chat", "model": "tiny", "deployment": "r1", "replica": 0,
    }  # fmt: skip
    wanted = {
        "system": "h100-sxm", "model": "deepseek-ai/deepseek-r1", "backend": "vllm",
        "backend_version": "v0.11.0", "precision": "fp8", "tp": 8, "pp": 2,
    }  # fmt: skip
    assert result["rows"][0].items() >= wanted.items()
    assert (result["setup"]["nodes"], result["setup"]["gpus_per_node"]) == (2, 8)


def test_a_row_that_says_too_little_is_pointed_out(endpoint, call, tmp_path):
    words = ("--url", endpoint.url, *QUICK, "--save", tmp_path / "x.csv", "--gpu", "h100-sxm")
    said = " ".join(call(*words).stderr.split())
    assert "next time add --engine, --tensor" in said
    assert "next time" not in call(*words, "--engine", "vllm", "--tensor", "8").stderr


def test_a_page_can_be_written(endpoint, call, tmp_path):
    file = tmp_path / "bench.html"
    assert call("--url", endpoint.url, *QUICK, "--html", file).exit_code == 0
    assert "tiny: " in file.read_text()
    assert "Time per output token" in file.read_text()


def test_failed_requests_are_exit_code_1(endpoint, call):
    endpoint.manners.failing, endpoint.manners.every = "http 503", 2
    done = call("--url", endpoint.url, *QUICK, "--osl", "8")
    assert done.exit_code == 1
    assert "http 503" in done.stderr
    assert "overloaded" in done.stderr


def test_the_key_comes_from_the_environment_or_a_private_file(endpoint, call, monkeypatch, tmp_path):
    endpoint.manners.key = "sk-secret"
    monkeypatch.setenv("A_KEY", "sk-secret")
    assert call("--url", endpoint.url, *QUICK, "--api-key-env", "A_KEY").exit_code == 0
    file = tmp_path / "key"
    file.write_text("sk-secret\n")
    file.chmod(0o600)
    done = call("--url", endpoint.url, *QUICK, "--api-key-file", file, "--format", "json")
    assert done.exit_code == 0
    assert "sk-secret" not in done.stdout + done.stderr
    file.chmod(0o644)
    with pytest.raises(RejectedError, match="chmod 600"):
        call("--url", endpoint.url, *QUICK, "--api-key-file", file)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "Say what to measure"),
        (("--url", "gpu01:8000"), "is no URL"),
        (("--url", "http://gpu01:port"), "is no URL"),
        (("--url", "http://gpu 01"), "is no URL"),
        (("--url", "http://me:pw@gpu01:8000"), "which every user of this machine can see"),
        (("--url", "http://x", "r1"), "give -i DIR"),
        (("--url", "http://x", "--concurrency", "1,zwei"), "expected whole numbers"),
        (("--url", "http://x", "--concurrency", "0"), "expected whole numbers"),
        (("--url", "http://x", "--api", "talk"), "chat or completions"),
        (("--url", "http://x", "--tool", "ab"), "nimctl or aiperf"),
        (("--url", "http://x", "--tokenizer", "t"), "for --tool aiperf"),
        (("--url", "http://x", "--tool", "aiperf"), "add --model"),
        (("--url", "http://x", "--extra", "{"), "no JSON"),
        (("--url", "http://x", "--extra", "[]"), "must be a JSON object"),
        (("--url", "http://x", "--extra", '{"model": "y"}'), "cannot set model"),
        (("--url", "http://x", "--api-key-env", "NIMCTL_NOT_SET"), "NIMCTL_NOT_SET is not set"),
        (("--url", "http://x", "--api-key-file", "/nonexistent"), "cannot be read"),
        (("--url", "http://x", "--save", "/nonexistent/x.json"), "there is no folder"),
    ],
)
def test_what_is_rejected_before_anything_is_sent(call, words, said):
    with pytest.raises(RejectedError, match=said):
        call(*words)


def test_several_deployments_have_to_be_told_apart(call, inventory):
    with pytest.raises(RejectedError, match="name one: r1, other"):
        call("-i", inventory)
    with pytest.raises(RejectedError, match="there is no replica 3"):
        call("-i", inventory, "r1", "--replica", "3")


def test_the_verb_is_listed():
    assert "bench" in VERBS
