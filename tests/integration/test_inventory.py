"""`ansible-inventory`, `nimctl inventory` and a run see the same thing."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BIN = ROOT / ".venv" / "bin"
WORKED = ["mixed", "prod", "prod-lustre-405b", "single-node-fp8"]
LAB = """\
plugin: nimctl.multinode.cluster
name: lab
connection: {user: ops}
nodes:
  - {hosts: "node[1-2]", addresses: "10.0.0.[1-2]", gpu: {count: 0}}
deployments:
  - {name: a, model: m, engine: rehearsal, image: "10.0.0.9:5000/rehearsal:1", hosts: "node[1-2]"}
"""
FILES = {
    "group_vars/all.yml": "from_all: 1\nansible_user: from_all\ncontainer_engine_name: podman\n",
    "group_vars/nim_nodes/one.yml": "ansible_user: from_group\n",
    "group_vars/nim_nodes/two.json": '{"container_engine_log_max_size": "1m"}',
    "group_vars/nim_leaders.yml": "container_engine_log_max_files: 9\nnim_rank_address: ignored\n",
    "group_vars/nim_cluster_nodes": "container_engine_log_max_files: 8\nfrom_parent: true\n",
    "host_vars/node1.yml": "nim_rank_address: from_host\n",
}


def ansible_inventory(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "ansible-inventory"), "-i", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def nimctl_inventory(folder: Path, *arguments: str) -> str:
    command = [str(BIN / "nimctl"), "inventory", "-i", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def comparable(text: str) -> dict[str, Any]:
    """A list without what Ansible adds by itself, and without an order that means nothing."""
    content: dict[str, Any] = json.loads(text)
    for variables in content["_meta"]["hostvars"].values():
        variables.pop("ansible_local", None)
    content["all"]["children"].sort()
    return content


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "cluster.yml").write_text(LAB, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", WORKED)
def test_worked_inventories(name: str) -> None:
    folder = ROOT / "inventories" / name
    done = ansible_inventory(folder, "--list")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert "__ansible_unsafe" not in done.stdout
    assert comparable(nimctl_inventory(folder, "--list")) == comparable(done.stdout)


def test_the_yaml_form_is_a_static_inventory_that_says_the_same(tmp_path: Path) -> None:
    folder = ROOT / "inventories" / "mixed"
    (tmp_path / "hosts.yml").write_text(nimctl_inventory(folder), encoding="utf-8")
    assert comparable(ansible_inventory(tmp_path, "--list").stdout) == comparable(
        ansible_inventory(folder, "--list").stdout
    )


def test_files_beside_the_description_win(lab: Path) -> None:
    for path, text in FILES.items():
        file = lab / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    theirs = comparable(ansible_inventory(lab, "--list").stdout)
    assert comparable(nimctl_inventory(lab, "--list")) == theirs
    node1 = theirs["_meta"]["hostvars"]["node1"]
    assert node1["ansible_user"] == "from_group"
    assert node1["container_engine_name"] == "podman"
    assert node1["container_engine_log_max_files"] == 9
    assert node1["nim_rank_address"] == "from_host"
    assert theirs["_meta"]["hostvars"]["node2"]["nim_rank_address"] == "10.0.0.2"
    shown = json.loads(nimctl_inventory(lab, "--host", "node1", "--format", "json"))
    assert shown == node1


def test_other_files_of_the_folder_add_no_hosts(lab: Path) -> None:
    plugin = "plugin: nimctl.multinode.cluster\n"
    (lab / "cluster.lock.yml").write_text(f"{plugin}version: 1\n", encoding="utf-8")
    (lab / "gpus.yml").write_text(plugin, encoding="utf-8")
    own = (ROOT / "src/nimctl/contracts/rehearsal.yml").read_text(encoding="utf-8")
    own = own.replace("id: rehearsal", "id: mine", 1).replace("default_for: [rehearsal]\n", "")
    (lab / "contracts").mkdir()
    (lab / "contracts/mine.yml").write_text(f"{plugin}{own}", encoding="utf-8")
    done = ansible_inventory(lab, "--list")
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    assert set(json.loads(done.stdout)["_meta"]["hostvars"]) == {"node1", "node2"}


def test_a_rejected_description_fails_with_every_problem(lab: Path) -> None:
    (lab / "cluster.yml").write_text(
        LAB.replace("engine: rehearsal", "engine: rehersal, replica: 1"), encoding="utf-8"
    )
    done = ansible_inventory(lab, "--list")
    assert done.returncode != 0
    assert "cluster.yml:7:" in done.stderr
    assert "rehersal" in done.stderr
    assert "replica" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_description_of_another_name_is_not_passed_over(lab: Path) -> None:
    (lab / "cluster.yml").rename(lab / "prod.yml")
    done = ansible_inventory(lab, "--list")
    assert done.returncode != 0
    assert "is named cluster.yml" in done.stderr
