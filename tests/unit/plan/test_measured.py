from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nimctl.errors import RejectedError
from nimctl.plan import measured
from nimctl.plan.measured import Row

ROOT = Path(__file__).parents[3]
ROW = Row(
    "h200_sxm", "deepseek-ai/DeepSeek-R1", "sglang", "1", "fp8", 1024, 1024, 8, 8, 1, 1, "", 250.0, 12.0
)
RULES = (
    "system,model,backend,backend_version,precision,isl,osl,concurrency,tp,pp,dp,ep,measured,ttft_ms,tpot_ms"
)


def out(*rows: Row, used: float = 0.1) -> dict[int, str]:
    return measured.excluded(rows, {}, [used] * len(rows))


def test_a_pair_that_differs_much_is_speculative_on_its_fast_side():
    fast = replace(ROW, version="2", tpot_ms=8.0)
    assert out(ROW, fast) == {1: "speculative"}
    assert out(ROW, replace(fast, tpot_ms=11.0)) == {}
    assert out(ROW, replace(fast, version="1")) == {}


def test_a_series_goes_whole_when_most_of_it_is_speculative():
    slow = [replace(ROW, concurrency=count) for count in (4, 8, 16)]
    fast = [replace(row, version="2", tpot_ms=8.0) for row in slow]
    alone = replace(fast[0], concurrency=64, isl=8192)
    assert out(*slow, *fast, alone) == dict.fromkeys((3, 4, 5, 6), "speculative")


def test_time_per_token_does_not_fall_with_load():
    assert out(ROW, replace(ROW, concurrency=512, tpot_ms=5.0)) == {1: "falls"}


def test_more_operations_than_the_gpus_have():
    assert out(ROW, used=5.0) == {0: "impossible"}


def test_rows_from_csv_and_from_a_saved_sweep(tmp_path):
    line = "h200_sxm,deepseek-ai/DeepSeek-R1,sglang,1,fp8,1024,1024,8,8,,,,,250,12"
    (tmp_path / "rows.csv").write_text(f"{RULES}\n{line}\n")
    found = {name: getattr(ROW, name) for name in ("system", "model", "backend", "isl", "osl", "concurrency")}
    record = {
        **found,
        "tp": 8,
        "pp": None,
        "ttft_ms": 250,
        "tpot_ms": 12,
        "backend_version": "1",
        "precision": "fp8",
    }
    (tmp_path / "saved.json").write_text(json.dumps({"rows": [record]}))
    assert measured.read(tmp_path / "rows.csv") == measured.read(tmp_path / "saved.json") == [ROW]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "no column system"),
        (f"{RULES}\n", "no rows"),
        ("[1]", "list of rows"),
        (f"{RULES}\nx,y,z,,,0,1,1,1,,,,,1,1", "isl"),
    ],
)
def test_files_that_hold_no_rows(tmp_path, text, says):
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(RejectedError, match=says):
        measured.read(tmp_path / "rows.csv")


def test_own_rows_correct_the_prediction_and_say_so(answer, tmp_path):
    words = ("--model", "deepseek-ai/DeepSeek-R1", "--gpu", "h200-sxm", "--engine", "sglang", "--tensor", "8")
    before = answer(*words)["prediction"]["tpot_ms"]
    lines = [
        f"h200_sxm,deepseek-ai/DeepSeek-R1,sglang,1,fp8,1024,1024,{count},8,1,1,1,,400,{2 * point['tpot_ms']}"
        for count, point in ((p["concurrency"], p) for p in answer(*words)["curves"]["latency"][2:7])
    ]
    (tmp_path / "own.csv").write_text("\n".join([RULES, *lines]) + "\n")
    after = answer(*words, "--calibrate", str(tmp_path / "own.csv"))["prediction"]["tpot_ms"]
    assert after["origin"] == "measured"
    assert before["value"] * 1.7 < after["value"] < before["value"] * 2
    other = answer(
        *words[:-1], "4", "--precision", "nvfp4", "--gpu", "b200", "--calibrate", str(tmp_path / "own.csv")
    )
    assert other["prediction"]["tpot_ms"]["origin"] == "calibrated"


def test_published_rows_are_predicted():
    rows = ROOT.parent / "shared" / "data" / "measured-serving.csv"
    if not rows.exists():
        pytest.skip("the measured rows are not part of the repository")
    command = [sys.executable, str(ROOT / "benchmarks" / "planner_accuracy.py"), "--rows", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    last = done.stdout.splitlines()[-1]
    found = re.fullmatch(r"overall TPOT MAPE ([\d.]+) % TTFT MAPE ([\d.]+) % rows (\d+)", last)
    assert found is not None
    assert float(found[1]) < 8
    assert float(found[2]) < 25
    assert int(found[3]) > 1600
