"""What `nimctl bundle` is told about nodes that it does not contact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nimctl.cli import bundle as cli
from nimctl.errors import RejectedError
from nimctl.run.target import load

CLUSTER = """\
plugin: nimctl.multinode.cluster
name: test
nodes:
  - {hosts: "gpu[1-3]", addresses: "10.0.0.[1-3]", gpu: {count: 0}}
"""
HOST = {"system": {"distribution": "debian", "version": "13", "architecture": "x86_64"}, "gpus": []}


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    (tmp_path / "cluster.yml").write_text(CLUSTER)
    return tmp_path


def test_the_last_word_about_a_node_counts() -> None:
    chosen = cli._distributions(["a1", "a2", "b"], ["ubuntu-24.04", "a[1-2]=debian-13/aarch64"])
    assert chosen == {
        "a1": ("debian-13", "aarch64"),
        "a2": ("debian-13", "aarch64"),
        "b": ("ubuntu-24.04", "x86_64"),
    }


def test_a_node_that_nobody_describes_is_named() -> None:
    with pytest.raises(RejectedError, match="no node c1"):
        cli._distributions(["a1"], ["c[1-2]=debian-13"])


def test_what_runs_on_every_node_has_to_be_said(inventory: Path) -> None:
    with pytest.raises(RejectedError, match="what runs on gpu3 is not known"):
        cli._hosts(load(inventory), ["gpu[1-2]=debian-13"], "", None)


def test_an_unknown_distribution_names_those_that_are_known(inventory: Path) -> None:
    with pytest.raises(RejectedError, match=r"expected one of .*debian-13"):
        cli._hosts(load(inventory), ["debain-13"], "", None)


@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        lambda host: json.dumps({"host": host}),
        lambda host: "gpu1 | SUCCESS => " + json.dumps({"changed": False, "host": host}, indent=4),
        lambda host: (
            "gpu1 | SUCCESS => \n    changed: false\n    host:\n        gpus: []\n        system:\n"
            "            architecture: x86_64\n            distribution: debian\n            version: '13'\n"
        ),
    ],
    ids=["host", "result", "ansible as JSON", "ansible as YAML"],
)
def test_a_node_is_read_as_ansible_prints_it(tmp_path: Path, write: Callable[[object], str]) -> None:
    (tmp_path / "gpu1").write_text(write(HOST))
    assert cli._recorded(tmp_path / "gpu1") == HOST


def test_a_failed_probe_is_no_node(tmp_path: Path) -> None:
    (tmp_path / "gpu1").write_text("gpu1 | UNREACHABLE! => \n    msg: no route\n")
    with pytest.raises(RejectedError, match="is not what the module host_probe says"):
        cli._recorded(tmp_path / "gpu1")


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(RejectedError, match=r"has something else in it \(holiday\.jpg\)"):
        cli._ours(tmp_path)


def test_progress_in_a_pipe_is_a_line_for_each_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    tell = cli._Lines().begin("image", 1_000_000)
    for _ in range(1000):
        tell(1000)
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "image: 1.0 MB"
    assert 8 <= len(said) <= 11
