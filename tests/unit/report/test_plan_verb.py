"""``nimctl plan --html`` as its user calls it."""

import json

import typer
from typer.testing import CliRunner

from nimctl.cli import plan
from nimctl.report.words import milliseconds

ASKED = ("--model", "deepseek-r1", "--gpu", "h200-sxm", "--concurrency", "8")


def call(*words):
    app = typer.Typer()
    plan.register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["plan", *map(str, words)])


def test_the_page_says_what_the_json_says(tmp_path):
    file = tmp_path / "plan.html"
    done = call(*ASKED, "--html", file, "--format", "json")
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    page = file.read_text()
    assert "It fits:" in page
    said = milliseconds(answer["prediction"]["tpot_ms"]["value"])
    assert f'data-json="prediction.tpot_ms.value">{said}<' in page


def test_a_page_tells_what_does_not_fit_too(tmp_path):
    file = tmp_path / "plan.html"
    done = call(*ASKED[:2], "--gpu", "h100-sxm", "--html", file)
    assert done.exit_code == 1
    assert "It does not fit" in file.read_text()
