"""A topology file for NCCL reaches the ranks that have GPUs, and changes no other cluster."""

from nimctl.stack.layers.nccl import TOPOLOGY


def test_ranks_with_gpus_get_the_topology_file(place, tmp_path):
    (tmp_path / "topo.xml").write_text('<system version="1"/>')
    (rank,) = place("name: a", rest="stack: {nccl: {topology: topo.xml}}\n").ranks
    assert rank.environment["NCCL_TOPO_FILE"] == TOPOLOGY
    assert f"--volume={TOPOLOGY}:{TOPOLOGY}:ro" in rank.options


def test_a_deployment_can_name_another_one(place):
    (rank,) = place("name: a, env: {NCCL_TOPO_FILE: /mine}", rest="stack: {nccl: {topology: t.xml}}\n").ranks
    assert rank.environment["NCCL_TOPO_FILE"] == "/mine"


def test_without_one_nothing_is_said(place):
    (rank,) = place("name: a").ranks
    assert "NCCL_TOPO_FILE" not in rank.environment


def test_where_somebody_else_looks_after_nccl_nothing_is_said(place):
    (rank,) = place("name: a", rest="stack: {nccl: {mode: verify, topology: t.xml}}\n").ranks
    assert "NCCL_TOPO_FILE" not in rank.environment
