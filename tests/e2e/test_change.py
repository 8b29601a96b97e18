"""Nodes leave service and come back: a change in batches with reboots, and a dead node that is replaced."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from labs import ROOT, Lab, clone, start_lab

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three nodes: a replica of two ranks, one of one rank beside it, and a spare."""
    for lab in start_lab(clone(), tmp_path_factory.mktemp("lab"), "--nodes", "3"):
        file = lab.inventory / "cluster.yml"
        description = yaml.safe_load(file.read_text())
        pair = {**description["deployments"][0], "hosts": "node[1-2]"}
        solo = {key: pair[key] for key in ("model", "engine", "image")}
        description["deployments"] = [pair, {**solo, "name": "solo", "hosts": "node1", "port": 8200}]
        file.write_text(yaml.safe_dump(description, sort_keys=False))
        lab.installation.nimctl("provision", "-i", lab.inventory)
        yield lab


def containers(lab: Lab, node: str) -> dict[str, str]:
    lines = lab.sh(node, "podman ps --no-trunc --format '{{.Names}} {{.ID}}'").splitlines()
    return dict(line.split() for line in lines)


def rollout(lab: Lab, **variables: object) -> subprocess.CompletedProcess[str]:
    given = {
        "nim_reboot_ok": True,
        "nimctl_rollout_tasks": str(Path(__file__).with_name("rollout_tasks.yml")),
        **variables,
    }
    words = (ROOT / "tests/e2e/rollout.yml", "-i", lab.inventory, "-e", json.dumps(given))
    return lab.installation.playbook(*words, check=False)


def test_a_drain_outlasts_a_run_and_ends_with_undrain(lab):
    refused = lab.installation.nimctl("drain", "node2", "-i", lab.inventory, check=False)
    assert refused.returncode == 2
    name = yaml.safe_load((lab.inventory / "cluster.yml").read_text())["deployments"][0]["name"]
    lab.installation.nimctl("drain", "node2", "-i", lab.inventory, "--allow-gap", name, "--why", "fan")
    assert set(containers(lab, "node1")) == {"nim-solo-0-0"}
    run = lab.installation.nimctl("provision", "-i", lab.inventory, check=False)
    assert run.returncode == 3
    assert "node2 is drained" in run.stderr
    assert set(containers(lab, "node1")) == {"nim-solo-0-0"}
    lab.sh("node1", f"systemctl start nim-{name}-0-0")
    assert set(containers(lab, "node1")) == {"nim-solo-0-0"}
    lab.installation.nimctl("undrain", "node2", "-i", lab.inventory)
    assert lab.installation.nimctl("status", "-i", lab.inventory).returncode == 0


def test_a_change_goes_in_batches_and_resumes(lab):
    waits = rollout(lab)
    assert "demo would have no serving replica meanwhile" in waits.stdout
    started = {node: lab.sh(node, "systemctl show -P UserspaceTimestamp") for node in ("node1", "node3")}
    late = rollout(lab, nimctl_allow_gap=["demo", "solo"], rollout_broken="node2")
    assert late.returncode != 0
    assert "the change fails, as the test wants it" in late.stdout
    done = rollout(lab, nimctl_allow_gap=["demo", "solo"])
    assert done.returncode == 0, done.stdout
    assert lab.sh("node1", "systemctl show -P UserspaceTimestamp") != started["node1"]
    assert rollout(lab).stdout.count("PLAY [Rollout | change]") == 1
    assert lab.installation.nimctl("status", "-i", lab.inventory).returncode == 0


def test_a_dead_node_is_replaced_and_nothing_else_moves(lab):
    before = containers(lab, "node1")
    lab.installation.nimctl("lab", "fault", "stop", "node2", "--name", lab.name)
    done = lab.installation.nimctl(
        "replace", "node2", "--with", "node3", "--yes", "-i", lab.inventory, check=False
    )
    assert done.returncode == 3, done.stderr
    assert "node2" in done.stderr
    assert containers(lab, "node1")["nim-solo-0-0"] == before["nim-solo-0-0"]
    assert any(name.endswith("-0-1") for name in containers(lab, "node3"))
    assert lab.installation.nimctl("test", "-i", lab.inventory).returncode == 0
