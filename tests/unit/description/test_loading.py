"""What a sound description becomes."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from nimctl.cluster import Node, NodeFabric
from nimctl.description import examine, load, locate
from nimctl.errors import DescriptionError, Problem
from nimctl.inventory import read

ROOT = Path(__file__).parents[3]
MINIMAL = "plugin: nimctl.multinode.cluster\nname: small\nnodes:\n  - {hosts: n1, gpu: {count: 0}}\n"


def test_nodes_are_expanded_in_order(loaded, sound):
    cluster = loaded(sound)
    fabric = NodeFabric("infiniband", "ndr", 1, "ib0", "10.1.0.2", ())
    assert cluster.nodes == (
        Node(
            "gpu01",
            "10.0.0.1",
            "h100-sxm",
            8,
            NodeFabric("infiniband", "ndr", 1, "ib0", "10.1.0.1", ()),
            False,
            0,
        ),
        Node("gpu02", "10.0.0.2", "h100-sxm", 8, fabric, False, 0),
        Node("store01", "10.0.0.10", None, 0, None, False, 1),
    )
    assert cluster.nodes[1].rank_address == "10.1.0.2"
    assert cluster.nodes[2].rank_address == "10.0.0.10"
    assert cluster.name == "test"
    assert cluster.secrets["ngc_api_key"].env == "NGC_API_KEY"
    assert cluster.gpu_models["h100-sxm"].nvswitch


def test_defaults(loaded):
    cluster = loaded(MINIMAL)
    assert cluster.nodes == (Node("n1", "n1", None, 0, None, False, 0),)
    assert cluster.connection.become
    assert cluster.stack.container_engine.mode == "managed"
    assert not cluster.deployments


def test_a_file_and_its_folder_are_the_same(written):
    folder = written(MINIMAL)
    assert load(folder).nodes == load(folder / "cluster.yml").nodes


def test_addresses_follow_hosts_as_they_were_written(loaded):
    cluster = loaded(MINIMAL.replace("hosts: n1", 'hosts: "n[3,1],m", addresses: [10.0.0.9, "10.0.0.[8,7]"]'))
    assert [(node.name, node.address) for node in cluster.nodes] == [
        ("n3", "10.0.0.9"),
        ("n1", "10.0.0.8"),
        ("m", "10.0.0.7"),
    ]


def test_ipv6_addresses_and_names(loaded):
    cluster = loaded(MINIMAL.replace("hosts: n1", 'hosts: "n[1-4]", addresses: "fd00::[1-4]"'))
    assert [node.address for node in cluster.nodes] == ["fd00::1", "fd00::2", "fd00::3", "fd00::4"]
    assert loaded(MINIMAL.replace("hosts: n1", 'hosts: "fd00::[1-2]"')).nodes[1].address == "fd00::2"


def test_an_address_may_stand_in_both_lists_of_its_own_node(loaded):
    fabric = "fabric: {kind: ethernet, rate: 100g, addresses: 10.0.0.1}"
    cluster = loaded(MINIMAL.replace("gpu:", f"addresses: 10.0.0.1, {fabric}, gpu:"))
    assert cluster.nodes[0].rank_address == "10.0.0.1"


def test_ports_of_a_fabric_default_to_its_hcas(loaded):
    fabric = "fabric: {kind: roce, rate: 400g, hcas: [mlx5_0, mlx5_1]}"
    assert loaded(MINIMAL.replace("gpu:", f"{fabric}, gpu:")).nodes[0].fabric.ports == 2


def test_absent_nodes_stay_known(loaded):
    cluster = loaded(MINIMAL.replace("gpu:", "state: absent, gpu:"))
    assert cluster.nodes[0].absent


def test_anchors_and_merges(loaded):
    text = (
        "plugin: nimctl.multinode.cluster\nname: small\nnodes:\n"
        "  - &like\n    hosts: n1\n    gpu: &none {count: 0}\n"
        "  - <<: *like\n    hosts: n2\n"
        "  - {hosts: n3, gpu: *none}\n"
    )
    assert [node.name for node in loaded(text).nodes] == ["n1", "n2", "n3"]


@pytest.mark.parametrize(
    ("plain", "value"),
    [("yes", True), ("off", False), ("false", False)],
)
def test_truth_values(loaded, plain, value):
    assert loaded(MINIMAL + f"connection: {{become: {plain}}}\n").connection.become is value


def test_numbers_that_nobody_means_stay_text(rejected):
    for plain in ("010", "0x16", "1:30", "1_000"):
        problems = rejected(MINIMAL + f"connection: {{port: {plain}}}\n")
        assert problems[0].message.startswith(f'found the text "{plain}", expected a whole number')


def test_positions_point_at_values(loaded, sound):
    cluster = loaded(sound)
    lines = sound.splitlines()
    for field, begins in (
        (("nodes", 0, "gpu", "model"), "h100-sxm,"),
        (("nodes", 0, "fabric", "addresses"), '"10.1.0.[1-2]"'),
        (("deployments", 0, "parallel", "pipeline"), "2}"),
        (("deployments", 0, "args", 0), "--quiet"),
        (("deployments", 0), "name: r1"),
        (("secrets", "ngc_api_key", "env"), "NGC_API_KEY"),
    ):
        line, column = cluster.positions[field]
        assert lines[line - 1][column - 1 :].startswith(begins)
    assert ("nodes", 2) not in cluster.positions
    assert ("nodes", 0, "gpu", "count") in set(cluster.positions)
    assert len(cluster.positions) == len(set(cluster.positions))


def test_locate_falls_back_to_what_would_contain_the_field(loaded, sound):
    cluster = loaded(sound)
    error = locate(
        cluster, [Problem(("deployments", 0, "gpus"), "b"), Problem(("nodes", 0, "gpu", "count"), "a")]
    )
    assert isinstance(error, DescriptionError)
    assert [(problem.line, problem.column, problem.message) for problem in error.problems] == [
        (6, 35, "a"),
        (14, 5, "b"),
    ]
    assert str(error).startswith(f"{cluster.file}:6:35: nodes[0].gpu.count: a\n")


def test_what_is_sound_can_be_placed_beside_what_is_not(written, changed):
    folder = written(changed("NCCL_DEBUG: INFO", 'RANK: "1"'))
    assert examine(folder).cluster is not None
    folder = written(changed("count: 8", "count: many"))
    assert examine(folder).cluster is None


def test_problems_of_fields_and_of_the_placement_come_together(written, changed):
    text = changed("secrets:\n", "  - {name: x, model: m, engine: vllm, image: a, hosts: gpu01}\nsecrets:\n")
    folder = written(text.replace("NCCL_DEBUG: INFO", "A-B: x").replace("    args: [--quiet]\n", ""))
    with pytest.raises(DescriptionError) as caught:
        read(folder)
    fields = {problem.field[:2] for problem in caught.value.problems}
    assert fields == {("deployments", 0), ("deployments", 1)}


@pytest.mark.parametrize("name", ["prod", "prod-lustre-405b", "single-node-fp8", "mixed"])
def test_worked_inventories_hold(name):
    placement = read(ROOT / "inventories" / name)
    assert placement.ranks
    text = (ROOT / "inventories" / name / "cluster.yml").read_text()
    assert text.startswith("#"), "a worked example says what it is"
    assert text.count("#") > 8


def test_ten_thousand_nodes_in_a_line_and_one_by_one(written):
    line = MINIMAL.replace("hosts: n1", 'hosts: "n[00001-10000]", addresses: "10.[0-39].[0-9].[1-25]"')
    entries = "".join(
        f"  - hosts: m{i:05}\n    addresses: 10.{i // 250 % 250}.{i // 62500}.{i % 250}\n"
        "    gpu: {model: h100-sxm, count: 8}\n"
        "    fabric: {kind: infiniband, rate: ndr, ports: 8, interface: ib0, hcas: [mlx5_0, mlx5_1]}\n"
        for i in range(10_000)
    )
    for text, limit in ((line, 1.5), (f"{MINIMAL}{entries}", 6)):
        folder = written(text)
        start = time.process_time()
        cluster = load(folder)
        assert len(cluster.nodes) >= 10_000
        assert time.process_time() - start < limit
