"""NCCL, Gloo and UCX variables from each node's fabric; options for devices; what `env` may override."""

from __future__ import annotations

from pathlib import Path

import pytest

from nimctl.description import load
from nimctl.placement import Rank
from nimctl.resolve import resolve

NETWORK = ("NCCL_", "GLOO_", "UCX_")


def ranks(
    tmp_path: Path, fabric: str, deployment: str = "", nodes: int = 2, engine: str = "vllm"
) -> list[Rank]:
    (tmp_path / "cluster.yml").write_text(
        "plugin: nimctl.multinode.cluster\nname: net\nnodes:\n"
        '  - hosts: "gpu[1-2]"\n    addresses: "10.0.0.[1-2]"\n'
        f"    gpu: {{model: h100-sxm, count: 8}}\n{fabric}"
        "deployments:\n"
        f"  - {{name: d, model: m, engine: {engine}, image: 'x:1', hosts: 'gpu[1-{nodes}]'{deployment}}}\n",
        encoding="utf-8",
    )
    return list(resolve(load(tmp_path)).ranks)


def variables(rank: Rank) -> dict[str, str]:
    return {name: value for name, value in rank.environment.items() if name.startswith(NETWORK)}


INFINIBAND = "    fabric: {kind: infiniband, rate: ndr, interface: ib0, hcas: [mlx5_0, mlx5_3]}\n"
RDMA = ["--device=/dev/infiniband", "--cap-add=IPC_LOCK", "--ulimit=memlock=-1"]


def test_infiniband(tmp_path: Path) -> None:
    leader, worker = ranks(tmp_path, INFINIBAND)
    assert variables(leader) == variables(worker) == {
        "NCCL_SOCKET_IFNAME": "=ib0",
        "GLOO_SOCKET_IFNAME": "ib0",
        "NCCL_IB_HCA": "=mlx5_0:1,mlx5_3:1",
        "UCX_NET_DEVICES": "mlx5_0:1,mlx5_3:1",
    }  # fmt: skip
    assert set(RDMA) <= set(leader.options)


def test_roce_sets_no_gid_index(tmp_path: Path) -> None:
    fabric = "    fabric: {kind: roce, rate: 400g, interface: eth2, hcas: [mlx5_0]}\n"
    found = variables(ranks(tmp_path, fabric)[0])
    assert found["NCCL_IB_HCA"] == "=mlx5_0:1"
    assert "NCCL_IB_GID_INDEX" not in found
    assert "NCCL_IB_DISABLE" not in found


def test_ethernet_has_no_rdma(tmp_path: Path) -> None:
    fabric = "    fabric: {kind: ethernet, rate: 100g, interface: eth2}\n"
    leader = ranks(tmp_path, fabric)[0]
    assert variables(leader) == {
        "NCCL_SOCKET_IFNAME": "=eth2",
        "GLOO_SOCKET_IFNAME": "eth2",
        "NCCL_IB_DISABLE": "1",
        "UCX_NET_DEVICES": "eth2",
    }
    assert not set(RDMA) & set(leader.options)


def test_what_is_not_described_is_not_guessed(tmp_path: Path) -> None:
    assert variables(ranks(tmp_path, "")[0]) == {}
    assert variables(ranks(tmp_path, "    fabric: {kind: infiniband, rate: ndr}\n")[0]) == {}


def test_ipv6(tmp_path: Path) -> None:
    fabric = '    fabric: {kind: roce, rate: 400g, interface: eth2, addresses: "fd00::[1-2]"}\n'
    leader, worker = ranks(tmp_path, fabric, engine="sglang")
    assert variables(leader)["NCCL_SOCKET_FAMILY"] == "AF_INET6"
    assert worker.command[worker.command.index("--dist-init-addr") + 1] == "[fd00::1]:20000"
    assert worker.leader_address == "fd00::1"


def test_one_node_needs_none_of_it(tmp_path: Path) -> None:
    (only,) = ranks(tmp_path, INFINIBAND, nodes=1)
    assert variables(only) == {}
    assert not set(RDMA) & set(only.options)
    assert "--nnodes" not in only.command


def test_env_overrides(tmp_path: Path) -> None:
    leader = ranks(tmp_path, INFINIBAND, ", env: {NCCL_IB_HCA: '=mlx5_9:1', NCCL_DEBUG: INFO}")[0]
    assert leader.environment["NCCL_IB_HCA"] == "=mlx5_9:1"
    assert leader.environment["NCCL_DEBUG"] == "INFO"
    assert leader.environment["NCCL_SOCKET_IFNAME"] == "=ib0"


@pytest.mark.parametrize(
    ("weights", "secrets", "mounts"),
    [
        ("", ("NGC_API_KEY",), ["/var/cache/nimctl/d:/opt/nim/.cache"]),
        (", weights: {path: /m/r1}", (), ["/var/cache/nimctl/d:/opt/nim/.cache", "/m/r1:/m/r1:ro"]),
    ],
)
def test_the_key_goes_only_to_ranks_that_download(
    tmp_path: Path, weights: str, secrets: tuple[str, ...], mounts: list[str]
) -> None:
    (tmp_path / "cluster.yml").write_text(
        "plugin: nimctl.multinode.cluster\nname: net\nnodes:\n"
        "  - {hosts: gpu1, addresses: 10.0.0.1, gpu: {model: h100-sxm, count: 8}}\n"
        f"deployments: [{{name: d, model: m, engine: nim, contract: nim1-env, image: 'x:1'{weights}}}]\n"
        "secrets: {ngc_api_key: {env: NGC_API_KEY}}\n",
        encoding="utf-8",
    )
    (rank,) = resolve(load(tmp_path)).ranks
    assert rank.secrets == secrets
    assert [option[9:] for option in rank.options if option.startswith("--volume=")] == mounts
    assert rank.environment.get("NIM_MODEL_NAME") == ("/m/r1" if weights else None)
    assert rank.mounts[0].owner == 1000
