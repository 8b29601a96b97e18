"""Nodes leave service and come back: a change in batches with reboots, and a dead node that is replaced."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
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


def test_a_drain_can_be_predicted(lab):
    before = containers(lab, "node1")
    asked = ("drain", "node2", "-i", lab.inventory, "--allow-gap", "demo")
    predicted = lab.installation.nimctl_json(*asked, "--check")
    assert (predicted["drained"], predicted["replicas"]) == (["node2"], ["demo-0"])
    assert containers(lab, "node1") == before
    assert "No such file" in lab.sh("node2", f"ls /var/lib/nimctl/{lab.name}/drained 2>&1 || true")


def test_a_drain_outlasts_a_run_and_ends_with_undrain(lab):
    refused = lab.installation.nimctl("drain", "node2", "-i", lab.inventory, check=False)
    assert refused.returncode == 2
    asked = ("drain", "node2", "-i", lab.inventory, "--allow-gap", "demo", "--why", "fan")
    # The second time nothing is left to do, and the answer is the same.
    for _ in range(2):
        done = lab.installation.nimctl_json(*asked)
        assert (done["drained"], done["replicas"], done["exit_code"]) == (["node2"], ["demo-0"], 0)
    assert set(containers(lab, "node1")) == {"nim-solo-0-0"}
    run = lab.installation.nimctl("provision", "-i", lab.inventory, check=False)
    assert run.returncode == 3
    assert "node2 is drained" in run.stderr
    assert set(containers(lab, "node1")) == {"nim-solo-0-0"}
    lab.sh("node1", "systemctl start nim-demo-0-0")
    assert set(containers(lab, "node1")) == {"nim-solo-0-0"}
    predicted = lab.installation.nimctl("undrain", "node2", "-i", lab.inventory, "--check")
    assert predicted.returncode == 0
    assert set(containers(lab, "node1")) == {"nim-solo-0-0"}
    lab.installation.nimctl("undrain", "node2", "-i", lab.inventory)
    assert lab.installation.nimctl("status", "-i", lab.inventory).returncode == 0


def test_a_window_that_has_passed_begins_nothing(lab):
    passed = (datetime.now() - timedelta(minutes=2)).strftime("%H:%M")
    done = rollout(lab, nimctl_allow_gap=["demo", "solo"], nimctl_start_nothing_after=passed)
    assert done.returncode == 0, done.stdout
    assert f"because it is after {passed}; the next window goes on with it" in done.stdout
    assert "Reboot]" not in done.stdout


def test_a_change_goes_in_batches_and_resumes(lab):
    waits = rollout(lab)
    assert "demo would have no serving replica meanwhile" in waits.stdout
    started = {node: lab.sh(node, "systemctl show -P UserspaceTimestamp") for node in ("node1", "node3")}
    # node1 and node2 go together, because of their replica; node3 would have been the next batch.
    late = rollout(lab, nimctl_allow_gap=["demo", "solo"], rollout_broken="node2")
    assert late.returncode != 0
    assert "the change fails, as the test wants it" in late.stdout
    assert "because node2 failed (--max-fail 0)" in late.stdout
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
