"""Several deployments on the same nodes: GPUs, ports, automatic placement."""

from __future__ import annotations

from collections.abc import Callable

from nimctl.placement import Placement

Place = Callable[..., Placement]
Rejected = Callable[..., dict[str, str]]
PLAIN = '  - {hosts: "node[1-4]", addresses: "10.0.1.[1-4]", gpu: {count: 0}}\n'


def nodes_of(placement: Placement, deployment: str) -> list[str]:
    return [rank.node for rank in placement.ranks if rank.deployment == deployment]


def gpus_of(placement: Placement, deployment: str) -> list[tuple[int, ...]]:
    return [rank.gpus for rank in placement.ranks if rank.deployment == deployment]


def test_different_gpus_of_one_node(place: Place) -> None:
    placement = place(
        "name: a, hosts: gpu01, gpus: [0, 1]",
        "name: b, hosts: gpu01, parallel: {tensor: 2}, port: 8001",
        "name: c, hosts: gpu01, gpus: [6, 7], port: 8002",
    )
    assert gpus_of(placement, "b") == [(2, 3)]


def test_one_gpu_for_two(rejected: Rejected) -> None:
    problems = rejected(
        "name: a, hosts: gpu01, gpus: [0, 1]", "name: b, hosts: gpu01, gpus: [1, 2], port: 8001"
    )
    assert problems == {"1.gpus": "GPU 1 of gpu01 is used by a; name other nodes or GPUs"}


def test_whole_nodes_for_two(rejected: Rejected) -> None:
    problems = rejected("name: a, hosts: gpu01", "name: b, hosts: gpu01, port: 8001")
    assert "of gpu01 are used by a" in problems["1.hosts"]


def test_not_enough_left_of_a_node(rejected: Rejected) -> None:
    problems = rejected(
        "name: a, hosts: gpu01, gpus: [0, 1, 2, 3, 4, 5]",
        "name: b, hosts: gpu01, parallel: {tensor: 4}, port: 8001",
    )
    assert "2 are free" in problems["1.hosts"]


def test_two_endpoints_on_one_port(rejected: Rejected) -> None:
    problems = rejected("name: a, hosts: gpu01, gpus: [0]", "name: b, hosts: gpu01, gpus: [1]")
    assert "port 8000 is used by a (api) on gpu01" in problems["1.port"]


def test_an_endpoint_on_somebody_elses_internal_port_moves_the_internal_one(place: Place) -> None:
    placement = place(
        'name: a, hosts: "gpu[01-02]", gpus: [0]', 'name: b, hosts: "gpu01", gpus: [1], port: 29600'
    )
    assert placement.ranks[0].ports == {"api": 8000, "rendezvous": 29601}


def test_internal_ports_get_numbers_of_their_own(place: Place) -> None:
    placement = place(
        'name: a, hosts: "gpu[01-02]", gpus: [0]',
        'name: b, hosts: "gpu[01-02]", gpus: [1], port: 8001',
        'name: c, hosts: "gpu[02-01]", gpus: [2], port: 8002'.replace("gpu[02-01]", "gpu02,gpu01"),
    )
    leaders = [rank for rank in placement.ranks if rank.rank == 0]
    assert [rank.ports["rendezvous"] for rank in leaders] == [29600, 29601, 29600]
    for rank in placement.ranks:
        leader = next(other for other in leaders if other.deployment == rank.deployment)
        assert rank.environment["REHEARSAL_RENDEZVOUS_PORT"] == str(leader.ports["rendezvous"])


def test_fixed_ports_cannot_share_a_node(rejected: Rejected) -> None:
    common = "engine: nim, image: 'nvcr.io/nim/a/b:2.0.1', weights: {path: /m}, hosts: gpu01"
    problems = rejected(f"name: a, {common}, gpus: [0]", f"name: b, {common}, gpus: [1], port: 9000")
    assert "backend" in problems["1.port"]
    assert "8001" in problems["1.port"]


def test_automatic_placement_fills_nodes_in_their_order(place: Place) -> None:
    placement = place(
        "name: a, parallel: {tensor: 4}",
        "name: b, parallel: {tensor: 4}, port: 8001",
        "name: c, parallel: {tensor: 8, pipeline: 2}",
    )
    assert nodes_of(placement, "a") == nodes_of(placement, "b") == ["gpu01"]
    assert gpus_of(placement, "b") == [(4, 5, 6, 7)]
    assert nodes_of(placement, "c") == ["gpu02", "gpu03"]


def test_automatic_placement_avoids_a_taken_port(place: Place) -> None:
    placement = place("name: a, parallel: {tensor: 4}", "name: b, parallel: {tensor: 4}")
    assert nodes_of(placement, "a") == ["gpu01"]
    assert nodes_of(placement, "b") == ["gpu02"]


def test_what_names_its_hosts_comes_first(place: Place) -> None:
    placement = place("name: a", "name: b, hosts: gpu01")
    assert nodes_of(placement, "a") == ["gpu02"]


def test_workers_may_sit_where_a_leader_could_not(place: Place) -> None:
    placement = place(
        "name: a, hosts: gpu01, gpus: [0]",
        "name: b, hosts: gpu02, gpus: [0]",
        "name: c, hosts: gpu03, gpus: [0]",
        "name: d, parallel: {tensor: 4, pipeline: 4}, gpus: [4, 5, 6, 7]",
    )
    assert nodes_of(placement, "d") == ["gpu04", "gpu01", "gpu02", "gpu03"]


def test_replicas_of_a_deployment_are_on_nodes_of_their_own(place: Place) -> None:
    placement = place("name: a, parallel: {tensor: 2}, replicas: 3")
    assert nodes_of(placement, "a") == ["gpu01", "gpu02", "gpu03"]


def test_nodes_without_gpus_are_shared_evenly(place: Place) -> None:
    placement = place(
        "name: a, parallel: {pipeline: 2}",
        "name: b, parallel: {pipeline: 2}",
        "name: c, port: 8001",
        nodes=PLAIN,
    )
    assert nodes_of(placement, "a") == ["node1", "node2"]
    assert nodes_of(placement, "b") == ["node3", "node4"]
    assert nodes_of(placement, "c") == ["node1"]


def test_nodes_with_gpus_go_first(place: Place) -> None:
    nodes = PLAIN + '  - {hosts: "gpu[01-02]", addresses: "10.0.0.[1-2]", gpu: {model: h100-sxm, count: 8}}\n'
    placement = place("name: a, replicas: 2", nodes=nodes)
    assert nodes_of(placement, "a") == ["gpu01", "gpu02"]


def test_storage_servers_are_left_alone(place: Place, rejected: Rejected) -> None:
    rest = "storage: [{kind: nfs, server: node1, export: /srv, mount: /models}]\n"
    assert nodes_of(place("name: a", nodes=PLAIN, rest=rest), "a") == ["node2"]
    assert nodes_of(place("name: a, hosts: node1", nodes=PLAIN, rest=rest), "a") == ["node1"]


def test_absent_nodes_get_nothing(place: Place) -> None:
    nodes = PLAIN.replace("node[1-4]", "node[1-3]").replace(".[1-4]", ".[1-3]")
    nodes += "  - {hosts: node0, addresses: 10.0.1.9, gpu: {count: 0}, state: absent}\n"
    assert nodes_of(place("name: a, replicas: 3", nodes=nodes), "a") == ["node1", "node2", "node3"]


def test_shortage_says_who_has_what(rejected: Rejected) -> None:
    problems = rejected("name: a, replicas: 3", "name: b, parallel: {tensor: 8, pipeline: 2}, port: 8001")
    assert "used by a" in problems["1.name"]
    problems = rejected("name: a, replicas: 3", "name: b, replicas: 2", nodes=PLAIN)
    assert "port 8000 is taken on node1, node2 and node3" in problems["1.replicas"]
