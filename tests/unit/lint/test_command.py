"""``nimctl lint`` as its users call it."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from called import Called, call

Nimctl = Callable[..., Called]
SCRIPT = "export NCCL_DEBUG=INFO\nexport NCCL_SOCKET_IFNAME=ib0\nexport NIM_QUANTIZATION=fp8\n"


@pytest.fixture
def nimctl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nimctl:
    """Call ``nimctl lint``."""
    return lambda *arguments: call(capsys, monkeypatch, "lint", *arguments)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "run.sh"
    file.write_text(SCRIPT)
    return file


def test_findings_begin_with_their_place_and_end_with_1(nimctl: Nimctl, script: Path) -> None:
    found = nimctl(script)
    assert found.returncode == 1
    lines = found.stdout.splitlines()
    assert lines[0].startswith(f"{script}:1:8: info nccl-debug: ")
    assert lines[1].startswith(f"{script}:2:8: warning nccl-interface-prefix: ")
    assert lines[2].startswith(f"{script}:3:8: error nim-unread-variable: ")
    assert "1 error, 1 warning, 1 info; --fix mends 2" in found.stderr


def test_nothing_found_ends_with_0(nimctl: Nimctl, script: Path) -> None:
    script.write_text("export NCCL_SOCKET_IFNAME==ib0\n")
    found = nimctl(script)
    assert (found.returncode, found.stdout) == (0, "")


def test_severity_is_the_least_that_is_told(nimctl: Nimctl, script: Path) -> None:
    assert len(nimctl(script, "--severity", "error").stdout.splitlines()) == 1
    script.write_text("export NCCL_DEBUG=INFO\n")
    assert nimctl(script, "--severity", "warning").returncode == 0


def test_json_is_a_list_of_findings(nimctl: Nimctl, script: Path) -> None:
    found = json.loads(nimctl(script, "--format", "json").stdout)
    assert [set(each) for each in found] == [
        {"rule", "severity", "file", "line", "column", "message", "fix"}
    ] * 3
    assert found[1]["line"] == 2
    assert found[1]["fix"] == "write =ib0"
    assert found[0]["fix"] is None


def test_github_shows_findings_at_their_lines(nimctl: Nimctl, script: Path) -> None:
    lines = nimctl(script, "--format", "github").stdout.splitlines()
    assert lines[0].startswith(f"::notice file={script},line=1,col=8,title=nccl-debug::")
    assert [line.split(" ")[0] for line in lines] == ["::notice", "::warning", "::error"]


def test_fix_shows_a_diff_that_patch_takes(nimctl: Nimctl, script: Path, tmp_path: Path) -> None:
    found = nimctl(script, "--fix")
    assert script.read_text() == SCRIPT
    assert found.returncode == 1
    assert "nccl-debug" in found.stderr
    subprocess.run(["patch", str(script)], input=found.stdout, text=True, check=True, capture_output=True)
    assert script.read_text() == "export NCCL_DEBUG=INFO\nexport NCCL_SOCKET_IFNAME==ib0\n"


def test_fix_writes_new_files(nimctl: Nimctl, script: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.sh"
    nimctl(script, "--fix", "--output", new)
    assert "QUANTIZATION" not in new.read_text()
    assert script.read_text() == SCRIPT
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("in/a.sh", "in/deep/a.sh"):
        (tmp_path / name).write_text(SCRIPT)
    nimctl(tmp_path / "in", "--fix", "--output", tmp_path / "out")
    assert sorted(str(file.relative_to(tmp_path)) for file in (tmp_path / "out").rglob("*.sh")) == [
        "out/a.sh",
        "out/deep/a.sh",
    ]
    found = nimctl(script, "--fix", "--output", script)
    assert found.returncode == 2
    assert script.read_text() == SCRIPT


def test_standard_input(nimctl: Nimctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(SCRIPT))
    assert nimctl("-", "--severity", "error").stdout.startswith("<stdin>:3:8: error")


def test_folders_are_searched_and_hidden_ones_left_out(nimctl: Nimctl, tmp_path: Path) -> None:
    for name in ("a/x.sh", ".git/y.sh", "a/readme.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(SCRIPT)
    found = json.loads(nimctl(tmp_path, "--format", "json").stdout)
    assert {each["file"] for each in found} == {str(tmp_path / "a" / "x.sh")}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "give a file"),
        (["nowhere.yaml"], "does not exist"),
        (["--explain", "nonsense"], "is no rule"),
        (["x.sh", "--format", "xml"], "expected text, json, github"),
        (["x.sh", "--severity", "fatal"], "expected error, warning, info"),
        (["x.sh", "--output", "y"], "is for --fix"),
    ],
)
def test_what_is_not_understood_ends_with_2(nimctl: Nimctl, arguments: list[str], told: str) -> None:
    found = nimctl(*arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert told in found.stderr


def test_a_file_of_another_kind_is_refused(nimctl: Nimctl, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("hello\n")
    assert nimctl(tmp_path / "x.txt").returncode == 2


def test_explain(nimctl: Nimctl) -> None:
    found = nimctl("--explain", "rank-hard-coded")
    assert found.returncode == 0
    assert "With two nodes it happens to be right." in " ".join(found.stdout.split())
    assert "nim-unread-variable" in nimctl("--explain", "all").stdout
