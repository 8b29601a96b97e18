"""How replicas are split over nodes and GPUs, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nimctl.placement import Placement

Place = Callable[..., Placement]
Rejected = Callable[..., dict[str, str]]
PLAIN = '  - {hosts: "node[1-4]", addresses: "10.0.1.[1-4]", gpu: {count: 0}}\n'


def seats(placement: Placement) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(rank.name, rank.node, rank.gpus) for rank in placement.ranks]


def split(placement: Placement) -> tuple[str, str]:
    environment = placement.ranks[0].environment
    return environment["REHEARSAL_TENSOR"], environment["REHEARSAL_PIPELINE"]


ALL = tuple(range(8))


@pytest.mark.parametrize(
    ("deployment", "nodes", "gpus", "sizes"),
    [
        ('name: a, hosts: "gpu[01-02]"', 2, ALL, ("8", "2")),
        ('name: a, hosts: "gpu[01-02]", parallel: {tensor: 8}', 2, ALL, ("8", "2")),
        ('name: a, hosts: "gpu[01-02]", parallel: {tensor: 4}', 2, (0, 1, 2, 3), ("4", "2")),
        ('name: a, hosts: "gpu[01-02]", parallel: {pipeline: 2}', 2, ALL, ("8", "2")),
        ('name: a, hosts: "gpu[01-02]", parallel: {pipeline: 4}', 2, ALL, ("4", "4")),
        ('name: a, hosts: "gpu[01-02]", parallel: {tensor: 16, across_nodes: true}', 2, ALL, ("16", "1")),
        ('name: a, hosts: "gpu[01-02]", gpus: [2, 3], parallel: {tensor: 2}', 2, (2, 3), ("2", "2")),
        ("name: a, hosts: gpu03, gpus: [4, 5, 6, 7]", 1, (4, 5, 6, 7), ("4", "1")),
        ("name: a", 1, ALL, ("8", "1")),
        ("name: a, parallel: {tensor: 4}", 1, (0, 1, 2, 3), ("4", "1")),
        ("name: a, parallel: {tensor: 4, pipeline: 2}", 1, ALL, ("4", "2")),
        ("name: a, parallel: {tensor: 8, pipeline: 3}", 3, ALL, ("8", "3")),
        ("name: a, parallel: {pipeline: 2}", 2, ALL, ("8", "2")),
        ("name: a, parallel: {tensor: 16, across_nodes: true}", 2, ALL, ("16", "1")),
        ("name: a, gpus: [1], parallel: {pipeline: 3}", 3, (1,), ("1", "3")),
    ],
)
def test_shape(
    place: Place, deployment: str, nodes: int, gpus: tuple[int, ...], sizes: tuple[str, str]
) -> None:
    placement = place(deployment)
    assert len(placement.ranks) == nodes
    assert {rank.gpus for rank in placement.ranks} == {gpus}
    assert split(placement) == sizes


def test_nodes_without_gpus_have_one_slot(place: Place) -> None:
    placement = place("name: a, parallel: {pipeline: 3}", nodes=PLAIN)
    assert seats(placement) == [("a-0-0", "node1", ()), ("a-0-1", "node2", ()), ("a-0-2", "node3", ())]
    assert split(placement) == ("1", "3")
    across = place('name: a, hosts: "node[1-2]", parallel: {tensor: 2, across_nodes: true}', nodes=PLAIN)
    assert split(across) == ("2", "1")


def test_replicas_take_hosts_in_their_order(place: Place) -> None:
    placement = place('name: a, hosts: "gpu04,gpu[01-03]", replicas: 2')
    assert [(rank.name, rank.node) for rank in placement.ranks] == [
        ("a-0-0", "gpu04"),
        ("a-0-1", "gpu01"),
        ("a-1-0", "gpu02"),
        ("a-1-1", "gpu03"),
    ]
    assert [rank.leader for rank in placement.ranks] == ["gpu04", "gpu04", "gpu02", "gpu02"]


@pytest.mark.parametrize(
    ("deployment", "field", "words"),
    [
        ('name: a, hosts: "gpu[01-02]", parallel: {tensor: 8, pipeline: 4}', "parallel", "32 GPUs"),
        (
            'name: a, hosts: "gpu[01-02]", gpus: [0, 1], parallel: {tensor: 8, pipeline: 2}',
            "parallel",
            "2 GPUs each",
        ),
        (
            'name: a, hosts: "gpu[01-02]", parallel: {tensor: 16, pipeline: 1}',
            "parallel.tensor",
            "across_nodes",
        ),
        ('name: a, hosts: "gpu[01-02]", parallel: {tensor: 16}', "parallel.tensor", "across_nodes"),
        ("name: a, parallel: {tensor: 16}", "parallel.tensor", "across_nodes"),
        ("name: a, hosts: gpu01, parallel: {tensor: 9}", "parallel.tensor", "9 GPUs"),
        ('name: a, hosts: "gpu[01-02]", parallel: {pipeline: 3}', "parallel.pipeline", "do not divide"),
        ("name: a, gpus: [0, 1], parallel: {tensor: 3, pipeline: 1}", "parallel", "do not divide"),
        ('name: a, hosts: "gpu[01-03]", replicas: 2', "replicas", "3 nodes do not divide into 2"),
        ("name: a, replicas: 5", "replicas", "not enough"),
        ("name: a, gpus: [8]", "gpus", "GPU 8"),
        ("name: a, parallel: {tensor: 8, pipeline: 5}", "name", "not enough"),
        ("name: a, contract: vllm, hosts: gpu01, precision: fp4", "precision", "fp4"),
        ("name: a, args: [--x]", "args", "no way to pass"),
        ("name: a, contract: article, port: 8001", "port", "8000"),
        ("name: a, engine: nim, image: 'nvcr.io/nim/a/b:latest', weights: {path: /m}", "image", "contract"),
        ("name: a, engine: nim, image: 'nvcr.io/nim/a/b:1.8.0'", "weights", "ngc_api_key"),
        ("name: a, engine: vllm, contract: nim1-env", "contract", "vllm"),
    ],
)
def test_refused(rejected: Rejected, deployment: str, field: str, words: str) -> None:
    problems = rejected(deployment)
    assert list(problems) == [f"0.{field}"]
    assert words in problems[f"0.{field}"]


def test_messages_speak_of_slots_on_nodes_without_gpus(rejected: Rejected) -> None:
    problems = rejected('name: a, hosts: "node[1-2]", parallel: {tensor: 2, pipeline: 2}', nodes=PLAIN)
    assert "2 nodes without GPU, one slot each" in problems["0.parallel"]


def test_engines_that_need_gpus_need_nodes_with_gpus(rejected: Rejected) -> None:
    problems = rejected("name: a, engine: sglang", nodes=PLAIN)
    assert "sglang needs GPUs" in problems["0.engine"]


def test_every_problem_is_reported_at_once(rejected: Rejected) -> None:
    problems = rejected("name: a, gpus: [9]", "name: b, replicas: 9", "name: c, contract: article, port: 81")
    assert list(problems) == ["0.gpus", "1.replicas", "2.port"]


def test_same_number_of_gpus_on_every_host(rejected: Rejected) -> None:
    nodes = (
        "  - {hosts: big, addresses: 10.0.0.1, gpu: {model: h100-sxm, count: 8}}\n"
        "  - {hosts: small, addresses: 10.0.0.2, gpu: {model: h100-sxm, count: 4}}\n"
    )
    problems = rejected('name: a, hosts: "big,small"', nodes=nodes)
    assert "big has 8" in problems["0.hosts"]


def test_different_gpus_are_worth_a_note(place: Place) -> None:
    nodes = (
        "  - {hosts: one, addresses: 10.0.0.1, gpu: {model: h100-sxm, count: 8}}\n"
        "  - {hosts: two, addresses: 10.0.0.2, gpu: {model: h200-sxm, count: 8}}\n"
    )
    assert any("different GPUs" in note for note in place('name: a, hosts: "one,two"', nodes=nodes).notes)
