"""What a description leaves open is filled in from the planner, once, and locked."""

from __future__ import annotations

from pathlib import Path

import pytest

from nimctl import locking
from nimctl.inventory import read
from nimctl.lock import PlannedSplit, read_lock, write_lock

TEXT = """\
plugin: nimctl.multinode.cluster
name: t
nodes:
  - hosts: "gpu[01-04]"
    addresses: "10.0.0.[1-4]"
    gpu: {{model: {gpu}, count: 8}}
    fabric: {{kind: infiniband, rate: ndr, ports: 8, interface: ib0}}
deployments:
  - name: r1
    model: {model}
    engine: sglang
    image: docker.io/lmsysorg/sglang:v0.5.4@sha256:{digest}
    weights: {{source: folder, path: /models/r1}}
{more}"""


def describe(
    folder: Path, gpu: str = "h100-sxm", model: str = "deepseek-ai/deepseek-r1", more: str = ""
) -> Path:
    (folder / "cluster.yml").write_text(TEXT.format(gpu=gpu, model=model, more=more, digest="0" * 64))
    return folder


def lock(folder: Path) -> None:
    write_lock(folder, locking.plan(folder, None).after)


def test_parallel_and_hosts_are_filled_in_and_locked(tmp_path):
    placement = read(describe(tmp_path))
    assert placement.planned == {"r1": PlannedSplit(8, 2)}
    assert [rank.node for rank in placement.ranks] == ["gpu01", "gpu02"]
    assert any("planned tensor 8, pipeline 2" in note for note in placement.notes)
    lock(tmp_path)
    kept = read_lock(tmp_path)
    assert kept is not None
    assert kept.planned == placement.planned


def test_the_lock_wins_over_a_planner_that_thinks_otherwise(tmp_path):
    describe(tmp_path)
    lock(tmp_path)
    file = tmp_path / "cluster.lock.yml"
    file.write_text(file.read_text().replace("tensor: 8, pipeline: 2", "tensor: 4, pipeline: 4"))
    placement = read(tmp_path)
    assert placement.planned == {"r1": PlannedSplit(4, 4)}
    assert not any("planned" in note for note in placement.notes)
    assert locking.plan(tmp_path, None, upgrade=frozenset({"r1"})).after.planned == {"r1": PlannedSplit(8, 2)}


@pytest.mark.parametrize(
    ("gpu", "model", "nodes"),
    [("h200-sxm", "deepseek-ai/deepseek-r1", 1), ("h100-sxm", "acme/unknown-7b", 1)],
)
def test_as_many_nodes_as_it_takes(tmp_path, gpu, model, nodes):
    placement = read(describe(tmp_path, gpu, model))
    assert len(placement.ranks) == nodes


def test_hosts_that_are_given_are_all_used(tmp_path):
    placement = read(describe(tmp_path, "h200-sxm", more='    hosts: "gpu[01-02]"\n'))
    assert placement.planned == {"r1": PlannedSplit(8, 2)}


def test_a_precision_is_filled_in_where_the_own_does_not_fit(tmp_path):
    more = "    hosts: gpu01\n"
    placement = read(describe(tmp_path, model="meta-llama/Llama-3.1-405B-Instruct", more=more))
    assert placement.planned == {"r1": PlannedSplit(8, 1, "fp8")}
    assert "--quantization" in placement.ranks[0].command


def test_what_is_said_stays(tmp_path):
    placement = read(describe(tmp_path, more="    parallel: {tensor: 4, pipeline: 4}\n"))
    assert placement.planned == {}
    assert len(placement.ranks) == 2


def test_nimctl_plan_shows_what_is_locked(tmp_path, answer):
    describe(tmp_path)
    lock(tmp_path)
    file = tmp_path / "cluster.lock.yml"
    file.write_text(file.read_text().replace("tensor: 8, pipeline: 2", "tensor: 4, pipeline: 4"))
    plan = answer("-i", str(tmp_path))
    assert (plan["deployment"], plan["tensor"], plan["pipeline"]) == ("r1", 4, 4)
    assert [rank["node"] for rank in plan["placement"]] == ["gpu01", "gpu02"]
