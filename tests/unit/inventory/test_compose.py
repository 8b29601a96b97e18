"""The inventory that a description becomes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nimctl.errors import DescriptionError
from nimctl.inventory import GROUPS, compose, read
from nimctl.listing import as_list, as_static, host_variables
from nimctl.yamltext import write

ROOT = Path(__file__).parents[3]
WORKED = ["mixed", "prod", "prod-lustre-405b", "single-node-fp8"]
LAB = """\
plugin: nimctl.multinode.cluster
name: lab
connection: {user: ops, port: 2222, key: .lab/key, known_hosts: ".lab/known hosts", proxy: jump}
stack:
  container_engine:
    engine: podman
    registries:
      - {host: "10.0.0.9:5000", ca: .lab/ca.crt, password: ngc_api_key}
      - {host: mirrored.example.com, mirrors: ["10.0.0.9:5000"], insecure: true}
nodes:
  - hosts: "node[1-3]"
    addresses: "10.0.0.[1-3]"
    gpu: {count: 0}
    fabric: {kind: ethernet, rate: 10g, interface: eth0}
  - {hosts: old, addresses: 10.0.0.8, gpu: {count: 0}, state: absent}
deployments:
  - {name: a-b, model: m, engine: rehearsal, image: "10.0.0.9:5000/rehearsal:1", hosts: "node[1-2]"}
  - {name: c, model: m, engine: rehearsal, image: "10.0.0.9:5000/rehearsal:1", hosts: node2, port: 8001}
secrets:
  ngc_api_key: {file: .lab/ngc_api_key}
  other: {env: OTHER}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "cluster.yml").write_text(LAB, encoding="utf-8")
    return tmp_path


def test_groups(lab: Path) -> None:
    inventory = compose(read(lab))
    members = {name: content.get("hosts", []) for name, content in inventory.items() if name != "_meta"}
    assert members["nim_nodes"] == ["node1", "node2", "node3"]
    assert members["nim_absent_nodes"] == ["old"]
    assert members["nim_leaders"] == ["node1", "node2"]
    assert members["nim_workers"] == ["node2"]
    assert members["nim_deployment_a_b"] == members["nim_replica_a_b_0"] == ["node1", "node2"]
    assert members["nim_replica_c_0"] == ["node2"]
    assert members["gpu_nodes"] == members["rdma_nodes"] == members["nvswitch_nodes"] == []
    assert set(GROUPS) <= set(inventory)
    assert inventory["nim_cluster_nodes"]["children"] == ["nim_absent_nodes", "nim_nodes"]


def test_settings_are_variables_of_a_group(lab: Path) -> None:
    variables = compose(read(lab))["nim_cluster_nodes"]["vars"]
    assert variables["ansible_user"] == "ops"
    assert variables["ansible_port"] == 2222
    assert variables["ansible_become"] is True
    assert variables["ansible_ssh_private_key_file"] == str(lab / ".lab/key")
    assert variables["ansible_ssh_common_args"] == (
        f"-o UserKnownHostsFile='\"{lab}/.lab/known hosts\"' -o ProxyJump=jump"
    )
    assert variables["container_engine_name"] == "podman"
    assert variables["container_engine_registries"] == [
        {"ca": str(lab / ".lab/ca.crt"), "host": "10.0.0.9:5000", "insecure": False, "mirrors": []},
        {"ca": "", "host": "mirrored.example.com", "insecure": True, "mirrors": ["10.0.0.9:5000"]},
    ]
    assert variables["nim_rank_registry_logins"] == [
        {"host": "10.0.0.9:5000", "secret": "ngc_api_key", "username": "$oauthtoken"},
        {"host": "nvcr.io", "secret": "ngc_api_key", "username": "$oauthtoken"},
    ]
    assert variables["nim_secrets"] == {
        "ngc_api_key": {"file": str(lab / ".lab/ngc_api_key")},
        "other": {"env": "OTHER"},
    }
    assert list(variables) == sorted(variables)


def test_what_all_nodes_are_called_is_said_once(lab: Path) -> None:
    composed = compose(read(lab))
    first = composed["nim_cluster_nodes"]["vars"]["nim_first_node"]
    carriers = {
        name
        for name, variables in composed["_meta"]["hostvars"].items()
        if "nim_cluster_addresses" in variables
    }
    assert carriers == {first} == {"node1"}
    assert composed["_meta"]["hostvars"][first]["nim_cluster_addresses"] == {
        "node1": ["10.0.0.1"],
        "node2": ["10.0.0.2"],
        "node3": ["10.0.0.3"],
    }
    assert "10.0.0.2" not in json.dumps(composed["nim_cluster_nodes"]["vars"])


def test_a_node_knows_its_ranks(lab: Path) -> None:
    hosts = compose(read(lab))["_meta"]["hostvars"]
    assert [rank["name"] for rank in hosts["node2"]["nim_ranks"]] == ["a-b-0-1", "c-0-0"]
    assert hosts["node3"]["nim_ranks"] == hosts["old"]["nim_ranks"] == []
    assert hosts["node1"]["nim_fabric"]["interface"] == "eth0"
    leader, worker = hosts["node1"]["nim_ranks"][0], hosts["node2"]["nim_ranks"][0]
    assert leader["health"] == {"deadline": 120, "path": "/v1/health/ready", "port": 8000}
    assert worker["health"] == {}
    assert leader["spec"] == worker["spec"]
    assert all(isinstance(value, str) for value in leader["environment"].values())


def test_gpu_and_fabric_groups() -> None:
    inventory = compose(read(ROOT / "inventories" / "prod"))
    assert inventory["gpu_nodes"]["hosts"] == inventory["rdma_nodes"]["hosts"] == ["gpu01", "gpu02"]
    assert inventory["nvswitch_nodes"]["hosts"] == ["gpu01", "gpu02"]
    assert inventory["storage_servers"]["hosts"] == ["store01"]
    assert inventory["nfs_clients"]["hosts"] == ["gpu01", "gpu02"]
    assert compose(read(ROOT / "inventories" / "prod-lustre-405b"))["lustre_clients"]["hosts"]


@pytest.mark.parametrize("name", WORKED)
def test_worked_inventories_are_literal_flat_and_sorted(name: str) -> None:
    placement = read(ROOT / "inventories" / name)
    inventory = compose(placement)
    assert json.loads(json.dumps(inventory)) == inventory
    assert "{{" not in json.dumps(inventory)
    for variables in inventory["_meta"]["hostvars"].values():
        assert list(variables) == sorted(variables)
    assert placement.ranks


@pytest.mark.parametrize("name", WORKED)
def test_yaml_says_the_same(name: str) -> None:
    static = as_static(compose(read(ROOT / "inventories" / name)))
    assert yaml.safe_load(write(static)) == static


def _files(folder: Path) -> None:
    for path, text in {
        "group_vars/all.yml": "from_all: 1\ncontainer_engine_log_max_size: 1m\nansible_user: from_all\n",
        "group_vars/nim_nodes/one.yml": "ansible_user: from_group\n",
        "group_vars/nim_leaders.yml": "container_engine_log_max_files: 9\n",
        "host_vars/node1.yml": "nim_gpu_count: 3\n",
    }.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def test_files_beside_the_description_win(lab: Path) -> None:
    _files(lab)
    composed = compose(read(lab))
    hosts = as_list(composed, lab)["_meta"]["hostvars"]
    assert hosts["node1"]["from_all"] == 1
    assert hosts["node1"]["container_engine_log_max_size"] == "1m"
    assert hosts["node1"]["ansible_user"] == "from_group"
    assert hosts["old"]["ansible_user"] == "from_all"
    assert hosts["node1"]["container_engine_log_max_files"] == 9
    assert hosts["node3"]["container_engine_log_max_files"] == 5
    assert hosts["node1"]["nim_gpu_count"] == 3
    assert host_variables(composed, "node1", lab) == hosts["node1"]


Broken = Callable[[str], list[str]]


@pytest.fixture
def broken(tmp_path: Path) -> Broken:
    def _broken(text: str) -> list[str]:
        (tmp_path / "cluster.yml").write_text(text, encoding="utf-8")
        with pytest.raises(DescriptionError) as caught:
            read(tmp_path)
        return [f"{problem.line}: {problem.message}" for problem in caught.value.problems]

    return _broken


def test_problems_of_loading_and_placing_come_together(broken: Broken) -> None:
    problems = broken(LAB.replace("hosts: node2, port: 8001", "hosts: node1, env: {NIM_NODE_RANK: '1'}"))
    assert len(problems) == 2
    assert "port 8000 is used by a-b" in "".join(problems)
    assert "carries the rank" in "".join(problems)


def test_a_broken_lock_is_located(lab: Path) -> None:
    (lab / "cluster.lock.yml").write_text("version: 7\n", encoding="utf-8")
    with pytest.raises(DescriptionError) as caught:
        read(lab)
    assert str(caught.value).startswith(f"{lab}/cluster.lock.yml:1:1: version")


def test_a_contract_of_ones_own(lab: Path, broken: Broken) -> None:
    own = (ROOT / "src/nimctl/contracts/rehearsal.yml").read_text(encoding="utf-8")
    own = own.replace("id: rehearsal", "id: mine", 1).replace("default_for: [rehearsal]\n", "")
    own = own.replace("29600", "40000")
    (lab / "contracts").mkdir()
    file = lab / "contracts" / "mine.yml"
    text = LAB.replace("hosts: node2,", "hosts: node2, contract: mine,").replace("node2, c", "'node[2-3]', c")
    file.write_text(own, encoding="utf-8")
    assert any("add `plugin: nimctl.multinode.cluster`" in problem for problem in broken(text))
    file.write_text(f"plugin: nimctl.multinode.cluster\n{own}", encoding="utf-8")
    ranks: dict[str, Any] = {rank.name: rank for rank in read(lab).ranks}
    assert ranks["c-0-0"].ports["rendezvous"] == 40000
