"""The groups and variables that an inventory has for the layers of the host stack."""

from __future__ import annotations

from pathlib import Path

import pytest

from nimctl.inventory import compose, read
from nimctl.stack.layers import LAYERS, ROLES
from nimctl.stack.planning import SETTINGS

CLUSTER = """\
plugin: nimctl.multinode.cluster
name: test
STACK
nodes:
  - hosts: "hgx[1-2]"
    addresses: "10.0.0.[1-2]"
    gpu: {model: h100-sxm, count: 8}
    fabric: {kind: infiniband, rate: ndr, interface: ib0, ports: 8}
  - {hosts: card, addresses: 10.0.0.3, gpu: {model: l40s, count: 4}}
  - {hosts: tray, addresses: 10.0.0.4, gpu: {model: gb200, count: 4}}
  - {hosts: cpu, addresses: 10.0.0.5, gpu: {count: 0}}
  - {hosts: store, addresses: 10.0.0.6, gpu: {count: 0}}
  - {hosts: toy, addresses: 10.0.0.7, gpu: {model: stand-in, count: 1}}
  - {hosts: old, addresses: 10.0.0.8, gpu: {model: h100-sxm, count: 8}, state: absent}
STORAGE
deployments:
  - {name: a, model: m, engine: rehearsal, image: "10.0.0.9:5000/rehearsal:1", hosts: cpu}
"""


@pytest.fixture
def composed(tmp_path: Path):
    def _composed(stack: str = "", storage: str = "") -> dict:
        text = CLUSTER.replace("STACK", f"stack: {{{stack}}}" if stack else "")
        text = text.replace("STORAGE", f"storage: [{storage}]" if storage else "")
        (tmp_path / "cluster.yml").write_text(text)
        return compose(read(tmp_path))

    return _composed


def members(inventory: dict, layer: str) -> list[str]:
    return inventory[f"nim_layer_{layer}"].get("hosts", [])


GPUS = ["hgx1", "hgx2", "card", "tray"]


@pytest.mark.parametrize(
    ("layer", "stack", "nodes"),
    [
        ("driver", "", GPUS),
        ("driver", "driver: {mode: verify}", GPUS),
        ("driver", "driver: {mode: ignore}", []),
        ("container_toolkit", "", GPUS),
        ("fabric_manager", "", ["hgx1", "hgx2", "tray"]),
        ("fabric_manager", "fabric_manager: {mode: ignore}", []),
        ("rdma", "", ["hgx1", "hgx2"]),
        ("rdma", "rdma: {soft: eth0}", ["hgx1", "hgx2", "card", "tray", "cpu", "store", "toy"]),
        ("gpu_direct", "", ["hgx1", "hgx2"]),
        ("gpu_direct", "gpu_direct: {storage: true}", GPUS),
        ("nccl", "", []),
        ("nccl", "nccl: {library: true}", GPUS),
        ("tuning", "", [*GPUS, "cpu", "toy"]),
        ("firewall", "", [*GPUS, "cpu", "toy"]),
        ("firewall", "firewall: {mode: ignore}", []),
    ],
)
def test_a_layer_is_on_the_nodes_where_it_applies(composed, layer, stack, nodes):
    assert members(composed(stack), layer) == nodes


def test_storage_is_on_clients_and_servers(composed):
    everyone = [*GPUS, "cpu", "store", "toy"]
    inventory = composed(
        storage="{kind: nfs, server: store, export: /srv/models, mount: /models}, "
        "{kind: local, mount: /nvme}, {kind: existing, mount: /scratch, mode: verify}"
    )
    assert members(inventory, "storage_nfs") == everyone
    assert members(inventory, "storage_lustre") == []
    assert members(inventory, "storage_local") == [*GPUS, "cpu", "toy"]
    variables = inventory["nim_cluster_nodes"]["vars"]
    assert [entry["mount"] for entry in variables["storage_local_entries"]] == ["/nvme", "/scratch"]
    assert variables["storage_local_mode"] == "managed"
    assert variables["storage_lustre_mode"] == "ignore"


def test_storage_that_is_ignored_is_not_there(composed):
    entry = "{kind: nfs, server: store, export: /srv/models, mount: /models, mode: ignore}"
    inventory = composed(storage=entry)
    assert members(inventory, "storage_nfs") == []
    assert inventory["nim_cluster_nodes"]["vars"]["storage_nfs_entries"] == []


def test_every_field_that_is_set_is_a_variable_of_its_role(composed):
    variables = composed(
        "driver: {branch: 580}, reboot_ok: true, nccl: {topology: topo.xml, tests: true}, "
        "mirrors: {nvidia: {url: 'http://mirror.example/cuda'}}"
    )["nim_cluster_nodes"]["vars"]
    assert variables["nvidia_driver_branch"] == 580
    assert "nvidia_driver_version" not in variables
    assert variables["nccl_topology"].endswith("/topo.xml")
    assert Path(variables["nccl_topology"]).is_absolute()
    assert variables["nvidia_driver_mirrors"] == {"nvidia": {"url": "http://mirror.example/cuda"}}
    assert variables["nim_reboot_ok"] is variables["nvidia_driver_reboot_ok"] is True
    for layer in LAYERS:
        assert f"{ROLES[layer]}_mode" in variables
        for name, field in SETTINGS[layer].model_fields.items() if layer in SETTINGS else ():
            expected = field.default is not None or name in ("branch", "topology")
            assert (f"{ROLES[layer]}_{name}" in variables) is expected, name


def test_a_locked_version_reaches_the_roles_that_rest_on_it(composed, tmp_path):
    lock = 'plugin: nimctl.multinode.cluster\nversion: 1\nstack:\n  driver: {version: "580.126.20"}\n'
    (tmp_path / "cluster.lock.yml").write_text(lock)
    for role in ("nvidia_driver", "nvidia_fabric"):
        variables = composed()["nim_cluster_nodes"]["vars"]
        assert variables[f"{role}_locked"] == {"driver": {"version": "580.126.20"}}
    for other in ("driver: {branch: 595}", "driver: {version: 580.95.05}", "driver: {mode: verify}"):
        assert composed(other)["nim_cluster_nodes"]["vars"]["nvidia_driver_locked"] == {}
    assert composed("driver: {branch: 580}")["nim_cluster_nodes"]["vars"]["nvidia_driver_locked"]
