"""AIPerf as the tool: its configuration, and a result that AIPerf 0.13.0 wrote for the rehearsal engine."""

import json
import stat
import sys
from pathlib import Path

import pytest
import yaml

from nimctl.bench import aiperf, sweep
from nimctl.bench.client import Dialect
from nimctl.bench.result import Limits
from nimctl.errors import NimctlError, RejectedError

RECORDED = Path(__file__).parent / "fixtures" / "profile_export_aiperf.json"


class Quiet:
    def begin(self, concurrency, requests, *, warmup): ...
    def answered(self, sample): ...
    def end(self, level): ...


def order(**changes):
    values = {
        "url": "http://gpu01:8000", "api": "chat", "model": "tiny", "levels": (2, 4), "isl": 64, "osl": 16,
        "requests": 8, "warmup": None, "level_seconds": None, "timeout": 60.0,
        "limits": Limits(ttft_ms=150, tpot_ms=20), "dialect": Dialect(),
    }  # fmt: skip
    return sweep.Order(**(values | changes))


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A command in AIPerf's place, of the given Python lines; ``folder`` is its artifact folder."""

    def make(*lines):
        program = tmp_path / "bin" / "aiperf"
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            "\n".join(
                [
                    f"#!{sys.executable}",
                    "import json, os, pathlib, sys",
                    "folder = pathlib.Path(sys.argv[sys.argv.index('--artifact-dir') + 1])",
                    *lines,
                ]
            )
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(program.parent))
        monkeypatch.setattr(aiperf.sys, "executable", str(tmp_path / "none" / "python"))

    return make


def test_a_recorded_result():
    level = aiperf.read(json.loads(RECORDED.read_text()), 2)
    assert (level.concurrency, level.requests, level.completed, level.errors) == (2, 8, 8, {})
    assert (level.isl, level.osl) == (54.875, 16)
    assert level.tpot_ms.p50 == pytest.approx(level.itl_ms.mean, rel=0.3)
    assert level.goodput.share == 0.875
    assert level.tokens_per_chunk == 1
    assert level.tokens_per_second == pytest.approx(16 * level.requests_per_second, rel=0.001)
    assert level.complete


def test_errors_of_a_result():
    content = json.loads(RECORDED.read_text())
    content["error_summary"] = [
        {"error_details": {"code": 503, "type": "Service Unavailable", "message": "busy"}, "count": 2},
        {"error_details": {"code": 503, "type": "Service Unavailable", "message": "busier"}, "count": 1},
        {"error_details": {"type": "TimeoutError", "message": "slow"}, "count": 1},
    ]
    level = aiperf.read(content, 2)
    assert level.errors == {"TimeoutError": 1, "http 503": 3}
    assert level.error_examples == {"http 503": "busy", "TimeoutError": "slow"}
    assert (level.requests, level.completed) == (12, 8)


def test_a_unit_that_is_not_expected_is_no_figure():
    content = json.loads(RECORDED.read_text())
    content["time_to_first_token"]["unit"] = "sec"
    with pytest.raises(NimctlError, match="time_to_first_token in sec"):
        aiperf.read(content, 2)


def test_each_level_is_a_call_with_its_configuration(stand_in, tmp_path):
    stand_in(
        f"result = json.loads(pathlib.Path({str(RECORDED)!r}).read_text())",
        "(folder / 'profile_export_aiperf.json').write_text(json.dumps(result))",
        f"with open({str(tmp_path / 'calls')!r}, 'a') as calls:",
        "    config = pathlib.Path(sys.argv[sys.argv.index('--config') + 1]).read_text()",
        "    print(json.dumps([sys.argv[1:], config, os.environ['NIMCTL_BENCH_API_KEY']]), file=calls)",
    )
    swept, version = aiperf.run(order(), "sk-secret", "/models/tiny", Quiet())
    assert (version, [level.concurrency for level in swept.levels]) == ("0.13.0", [2, 4])
    calls = [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]
    arguments, config, key = calls[1]
    assert key == "sk-secret"
    assert "sk-secret" not in config + " ".join(arguments), "others can read arguments"
    benchmark = yaml.safe_load(config)["benchmark"]
    assert benchmark["endpoint"]["api_key"] == "${NIMCTL_BENCH_API_KEY}"
    assert benchmark["endpoint"]["extra"] == {"ignore_eos": True}
    assert benchmark["slos"] == {"time_to_first_token": 150, "inter_token_latency": 20}
    assert [(phase["name"], phase["concurrency"], phase["requests"]) for phase in benchmark["phases"]] == [
        ("warmup", 4, 4),
        ("profiling", 4, 8),
    ]


def test_a_failure_shows_what_it_said(stand_in):
    stand_in("sys.exit('tokenizer tiny was not found')")
    with pytest.raises(NimctlError, match=r"no result at concurrency 2(?s:.)*tokenizer tiny was not found"):
        aiperf.run(order(), None, "tiny", Quiet())


def test_it_has_to_be_installed(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(aiperf.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(RejectedError, match="aiperf is not installed"):
        aiperf.run(order(), None, "tiny", Quiet())
