"""What a placement gives each rank is what the contract's own sources ask for.

The engine reads contracts without a look at nimctl's contract data, so each checks the other.
"""

import pytest

from nimctl.description import load
from nimctl.placement import Rank
from nimctl.rehearsal.engine.contracts import nim2_ray, sglang, vllm
from nimctl.rehearsal.engine.layout import Layout
from nimctl.rehearsal.engine.main import start_server
from nimctl.resolve import resolve

CONTRACTS = ("rehearsal", "nim1-env", "nim2-ray", "nim-variant", "vllm", "sglang", "article")


def ranks(folder, contract, nodes, *, addresses, tensor=1, pipeline=None):
    across = "true" if tensor > 1 else "false"
    sizes = f"{{tensor: {tensor}, pipeline: {pipeline or nodes // tensor}, across_nodes: {across}}}"
    (folder / "cluster.yml").write_text(
        "plugin: nimctl.multinode.cluster\n"
        "name: lab\n"
        f'nodes: [{{hosts: "node[1-4]", addresses: "{addresses}", gpu: {{count: 0}}}}]\n'
        "deployments:\n"
        "  - name: tiny\n"
        "    engine: rehearsal\n"
        f"    contract: {contract}\n"
        "    image: registry.lab:5000/rehearsal:1\n"
        "    model: some/model\n"
        "    served_name: tiny\n"
        f'    hosts: "node[1-{nodes}]"\n'
        f"    parallel: {sizes}\n"
    )
    return resolve(load(folder)).ranks


def launch(rank: Rank):
    """Read what a rank is given the way its container would."""
    entrypoints = [word.partition("=")[2] for word in rank.options if word.startswith("--entrypoint=")]
    entrypoint = entrypoints[0] if entrypoints else ""
    words, environment = list(rank.command), dict(rank.environment)
    if entrypoint == "vllm":
        return vllm.read(words, environment)
    if entrypoint == "python3":
        assert words[:2] == ["-m", "sglang.launch_server"]
        return sglang.read(words[2:], environment)
    if words:
        assert words[0] == "nim-serve-ray"
        return nim2_ray.read(words[1:], environment)
    return start_server([], environment)


@pytest.mark.parametrize("addresses", ["10.89.70.[11-14]", "fd00::[1-4]"], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize(
    ("contract", "nodes"),
    # The recipe of nim-variant is for two nodes.
    [
        (contract, nodes)
        for contract in CONTRACTS
        for nodes in (2, 4)
        if (contract, nodes) != ("nim-variant", 4)
    ],
)
def test_ranks_of_a_replica_agree(tmp_path, monkeypatch, contract, addresses, nodes):
    # The cache is made on the node, not on this machine.
    monkeypatch.setattr("nimctl.rehearsal.engine.contracts.nim.check_cache", lambda variables: None)
    placed = ranks(tmp_path, contract, nodes, addresses=addresses)
    launches = [launch(rank) for rank in placed]
    leader, *workers = launches
    first = placed[0]
    assert {each.contract for each in launches} == {contract}
    assert leader.rank == 0
    assert leader.port == first.health.port == first.ports["api"]
    assert first.health.path in leader.dialect.ready
    assert leader.served == ("tiny",) or contract == "article"
    assert (leader.nodes, leader.tensor, leader.pipeline) == (nodes, 1, nodes)
    Layout.make(leader.nodes, leader.tensor, leader.pipeline, 8, 16)
    for number, worker in enumerate(workers, 1):
        assert worker.rank == (None if contract == "nim2-ray" else number)
        assert worker.leader == first.address
        assert worker.rendezvous_port == leader.rendezvous_port
        # Whatever the worker knows of the group is what the leader knows.
        assert worker.identity.items() <= leader.identity.items()
    assert not [warning for each in launches for warning in each.warnings]


@pytest.mark.parametrize("contract", [name for name in CONTRACTS if name not in ("article", "nim-variant")])
def test_a_single_rank(tmp_path, monkeypatch, contract):
    monkeypatch.setattr("nimctl.rehearsal.engine.contracts.nim.check_cache", lambda variables: None)
    (placed,) = ranks(tmp_path, contract, 1, addresses="10.89.70.[11-14]")
    alone = launch(placed)
    assert (alone.rank, alone.nodes, alone.port) == (0, 1, placed.ports["api"])
    assert placed.health.path in alone.dialect.ready
    assert alone.served == ("tiny",)


@pytest.mark.parametrize("contract", ["rehearsal", "nim1-env", "nim2-ray", "vllm", "sglang"])
def test_tensor_slices_across_nodes(tmp_path, monkeypatch, contract):
    monkeypatch.setattr("nimctl.rehearsal.engine.contracts.nim.check_cache", lambda variables: None)
    leader = launch(ranks(tmp_path, contract, 4, addresses="10.89.70.[11-14]", tensor=2)[0])
    assert (leader.nodes, leader.tensor, leader.pipeline) == (4, 2, 2)
