"""From samples to figures, and what is kept of them."""

import csv
import io
import json
from array import array

import pytest
from rich.console import Console

from nimctl.bench import saving
from nimctl.bench.client import Sample
from nimctl.bench.display import Plain, Terminal, one_line
from nimctl.bench.load import Loaded
from nimctl.bench.result import Ask, Endpoint, Interval, Limits, Predicted, Result, Setup
from nimctl.bench.statistics import distribution, percentile
from nimctl.bench.summary import summarize
from nimctl.bench.tables import errors, tables, verdict
from nimctl.errors import NimctlError


def answer(begun, first, last, tokens=11, **more):
    return Sample(
        begun, last, first=first, last=last, gaps=array("d", [0.1]), chunks=2, prompt_tokens=100,
        tokens=tokens, **more,
    )  # fmt: skip


def level(concurrency=2, whole=True):
    samples = [
        answer(0.0, 0.1, 1.1),
        answer(0.0, 0.3, 2.3),
        Sample(1.0, 2.0, error="timeout", detail="ReadTimeout"),
        answer(2.0, 2.2, 4.0),
    ]
    return summarize(concurrency, Loaded(samples, 4.0, whole), Limits(ttft_ms=250))


def result(**changes):
    values = {
        "time": "2026-11-24T03:00:00+00:00", "tool": "nimctl", "version": "1",
        "endpoint": Endpoint("http://x:1", "chat", "tiny"),
        "setup": Setup(system="h100-sxm", backend="vllm", precision="fp8", tp=8, pp=1),
        "load": Ask(100, 11, None, None, None, 120.0), "limits": Limits(ttft_ms=250), "levels": (level(),),
    }  # fmt: skip
    return Result(**(values | changes))


def text(item):
    console = Console(width=300, record=True, file=io.StringIO())
    console.print(item)
    return console.export_text()


def test_percentiles_lie_between_values():
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.5
    assert percentile([1.0], 0.99) == 1.0
    assert percentile([0.0, 10.0], 0.9) == pytest.approx(9.0)
    assert distribution([]) is None
    hundred = distribution(number / 1000 for number in range(101))
    assert (hundred.p50, hundred.p90, hundred.p99, hundred.low, hundred.high) == (50, 90, 99, 0, 100)
    assert hundred.count == 101


def test_figures_of_a_level():
    done = level()
    assert (done.requests, done.completed, done.errors) == (4, 3, {"timeout": 1})
    assert done.error_examples == {"timeout": "ReadTimeout"}
    assert done.ttft_ms.p50 == 200
    assert done.tpot_ms.p50 == pytest.approx(180)
    assert done.e2e_ms.p50 == 2000
    assert done.tokens_per_second == pytest.approx(33 / 4)
    assert done.input_tokens_per_second == 75
    assert done.tokens_per_second_per_user == pytest.approx(1000 / 180, abs=0.001)
    assert (done.goodput.share, done.goodput.requests_per_second) == (0.5, 0.5)


def test_one_token_has_no_time_per_token():
    done = summarize(1, Loaded([answer(0.0, 0.1, 0.1, tokens=1)], 1.0), Limits())
    assert (done.tpot_ms, done.goodput) == (None, None)


def test_rows_have_the_columns_of_public_measurements(tmp_path):
    done = result()
    rows = saving.rows(done.setup, "tiny", (level(4), level(8, whole=False)), 100, 11, "2026-11-24")
    assert [row["concurrency"] for row in rows] == [4], "a level that was stopped is no measurement"
    file = tmp_path / "rows.csv"
    saving.save(file, result(rows=rows).as_json())
    [read] = csv.DictReader(file.open())
    assert tuple(read) == saving.COLUMNS
    assert {name: read[name] for name in ("system", "model", "backend", "precision", "tp", "dp")} == {
        "system": "h100-sxm", "model": "tiny", "backend": "vllm", "precision": "fp8", "tp": "8", "dp": "",
    }  # fmt: skip
    assert (float(read["ttft_ms"]), float(read["tpot_ms"])) == (200, 180)
    file = tmp_path / "all.json"
    saving.save(file, result(rows=rows).as_json())
    assert json.loads(file.read_text())["rows"] == [dict(row) for row in rows]


def test_a_file_that_cannot_be_written(tmp_path):
    with pytest.raises(NimctlError, match="cannot be written"):
        saving.write(tmp_path / "none" / "x.json", "")


def test_tables_show_what_was_measured():
    shown = [text(table) for table in tables(result())]
    assert "200 / 280 / 298" in shown[2]
    assert "IN LIMITS" in shown[0]
    assert "50%" in shown[0]
    assert len(shown) == 3
    assert errors(result()) == {"timeout": (1, "ReadTimeout")}


def test_in_a_narrow_terminal_times_stand_below_each_other():
    shown = [text(table) for table in tables(result(), 80)]
    assert max(len(line) for table in shown for line in table.rstrip().splitlines()) <= 80
    assert [line.split()[-3:] for line in shown[2].splitlines() if "TTFT" in line] == [["200", "280", "298"]]


def test_tables_stand_beside_the_plan():
    near, far = Interval(190, 150, 230, "analytic"), Interval(90, 80, 100, "analytic")
    shown = [text(table) for table in tables(result(prediction=(Predicted(2, near, far, far),)))]
    assert "190 (150-230)  within" in shown[-1]
    assert "above" in shown[-1]
    assert [verdict(value, far) for value in (79, 80, 100, 101)] == [
        "below", "as predicted", "as predicted", "above",
    ]  # fmt: skip


def test_progress_in_a_pipe_is_lines():
    console = Console(file=io.StringIO(), width=200, record=True, force_terminal=False)
    with Plain(console) as shown:
        shown.begin(2, 4, warmup=True)
        shown.begin(2, 4, warmup=False)
        shown.answered(answer(0, 1, 2))
        shown.end(level())
    lines = console.export_text().splitlines()
    assert lines[0].endswith("concurrency 2: 4 requests")
    assert lines[1].endswith(one_line(level()))
    assert "1 failed (timeout)" in lines[1]


def test_progress_on_a_terminal_is_a_bar():
    console = Console(width=150, force_terminal=True, record=True, file=io.StringIO())
    with Terminal(console) as shown:
        shown.begin(2, 4, warmup=False)
        shown.answered(Sample(0, 1, error="timeout"))
        shown.end(level())
    assert "✗ concurrency 2: 3 answers" in console.export_text()
