"""The contract `article` against the article's own two commands, cut out of an excerpt of it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from nimctl.description import load
from nimctl.errors import RejectedError
from nimctl.placement import Placement
from nimctl.resolve import check_runnable, resolve

EXCERPT = Path(__file__).parents[2] / "fixtures" / "article-docker.txt"
DESCRIPTION = """\
plugin: nimctl.multinode.cluster
name: article
nodes:
  - hosts: "node[0-1]"
    addresses: "10.0.0.[1-2]"
    gpu: {{model: h100-sxm, count: 8}}
    fabric: {{kind: infiniband, rate: ndr, interface: ib0}}
deployments:
  - name: r1
    model: deepseek-ai/deepseek-r1
    engine: {engine}
    contract: article
    image: nvcr.io/nim/deepseek-ai/deepseek-r1:1.7.3
    hosts: "node[0-1]"
    parallel: {{tensor: 8, pipeline: 2}}
secrets:
  ngc_api_key: {{env: NGC_API_KEY}}
"""


def _commands() -> list[list[str]]:
    """The article's commands as argument lists."""
    text = EXCERPT.read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line) for line in text.splitlines() if line.startswith("docker run")]


def _parts(command: list[str]) -> tuple[dict[str, str], list[str], str]:
    """Environment, options that are left, and image of one command."""
    words = command[2:]
    environment: dict[str, str] = {}
    options: list[str] = []
    while words[0].startswith("-"):
        if words[0] == "-e":
            name, _, value = words[1].partition("=")
            environment[name] = value
            words = words[2:]
        elif words[0] == "--name":
            words = words[2:]
        elif words[0] == "-d":
            words = words[1:]
        else:
            options += words[:2]
            words = words[2:]
    assert len(words) == 1
    return environment, options, words[0]


def _place(tmp_path: Path, engine: str) -> Placement:
    (tmp_path / "cluster.yml").write_text(DESCRIPTION.format(engine=engine), encoding="utf-8")
    return resolve(load(tmp_path))


def test_the_excerpt_has_two_commands() -> None:
    assert len(_commands()) == 2


def test_environment_and_options_are_the_articles(tmp_path: Path) -> None:
    placement = _place(tmp_path, "nim")
    for rank, command in zip(placement.ranks, _commands(), strict=True):
        environment, options, image = _parts(command)
        key = environment.pop("NGC_API_KEY")
        assert rank.environment == environment
        assert list(rank.options) == options
        assert rank.command == ()
        assert rank.image == image
        # Only the key has moved: into a file that the engine reads, with a value from `secrets`.
        assert rank.secrets == ("NGC_API_KEY",)
        assert key not in repr(rank)


def test_a_real_image_is_shown_but_not_started(tmp_path: Path) -> None:
    placement = _place(tmp_path, "nim")
    with pytest.raises(RejectedError, match="nim1-env"):
        check_runnable(placement)
    assert any("nim1-env" in note for note in placement.notes)


def test_the_rehearsal_engine_runs_it(tmp_path: Path) -> None:
    placement = _place(tmp_path, "rehearsal")
    check_runnable(placement)
    leader, worker = placement.ranks
    assert leader.environment["NIM_MASTER_ADDR"] == worker.environment["NIM_MASTER_ADDR"] == "10.0.0.1"
    # The GPU hook of docker is not there in a lab; everything else is as written.
    assert "--gpus" not in leader.options
    assert list(leader.options[:4]) == ["--network", "host", "--ipc", "host"]
    assert leader.secrets == ()
