"""What holds for every placement, whatever is described."""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from nimctl.cluster import Cluster, Node
from nimctl.description.document import Connection, Deployment, Parallel, Stack
from nimctl.lock import Lock
from nimctl.locking import seats_of
from nimctl.placement import Placement
from nimctl.resolve import PlacementError, resolve

CONTRACTS = ("rehearsal", "nim1-env", "nim2-ray", "nim-variant", "vllm", "sglang")


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    counts = draw(st.lists(st.sampled_from([0, 4, 8]), min_size=1, max_size=8))
    nodes = tuple(
        Node(f"n{i}", f"10.0.0.{i + 1}", "h100-sxm" if count else None, count, None, False, 0)
        for i, count in enumerate(counts)
    )
    deployments = tuple(
        Deployment(
            name=f"d{i}",
            model="m",
            engine="rehearsal",
            contract=draw(st.sampled_from(CONTRACTS)),
            image="registry.lab:5000/rehearsal:1",
            replicas=draw(st.integers(1, 3)),
            parallel=Parallel(
                tensor=draw(st.sampled_from([None, 1, 2, 4, 8])),
                pipeline=draw(st.sampled_from([None, 1, 2, 3])),
                across_nodes=draw(st.booleans()),
            ),
            port=8000 + draw(st.integers(0, 3)),
        )
        for i in range(draw(st.integers(1, 6)))
    )
    return Cluster("test", Connection(), Stack(), nodes, (), deployments, {})


def without(cluster: Cluster, name: str) -> Cluster:
    rest = tuple(deployment for deployment in cluster.deployments if deployment.name != name)
    return Cluster("test", Connection(), Stack(), cluster.nodes, (), rest, {})


def placeable(cluster: Cluster) -> tuple[Cluster, Placement]:
    """The cluster without the deployments that do not fit, and its placement."""
    while True:
        try:
            return cluster, resolve(cluster)
        except PlacementError as error:
            index = error.problems[0].field[1]
            assert isinstance(index, int)
            cluster = without(cluster, cluster.deployments[index].name)


@settings(max_examples=150, deadline=None)
@given(clusters())
def test_placement(cluster: Cluster) -> None:
    cluster, placement = placeable(cluster)
    assert resolve(cluster) == placement
    counts = {node.name: node.gpu_count for node in cluster.nodes}

    numbers = Counter((rank.deployment, rank.replica) for rank in placement.ranks)
    assert set(numbers) == {(d.name, i) for d in cluster.deployments for i in range(d.replicas)}
    for rank in placement.ranks:
        assert rank.nodes == numbers[rank.deployment, rank.replica]
    assert len({rank.name for rank in placement.ranks}) == len(placement.ranks)
    assert {(r.deployment, r.replica, r.rank) for r in placement.ranks} == {
        (name, replica, number) for (name, replica), size in numbers.items() for number in range(size)
    }

    gpus = [(rank.node, gpu) for rank in placement.ranks for gpu in rank.gpus]
    assert len(set(gpus)) == len(gpus)
    assert all(gpu < counts[node] for node, gpu in gpus)
    assert all(bool(rank.gpus) == bool(counts[rank.node]) for rank in placement.ranks)

    ports = [(rank.node, port) for rank in placement.ranks for port in rank.ports.values()]
    assert len(set(ports)) == len(ports)

    seats = Counter((rank.deployment, rank.node) for rank in placement.ranks)
    assert all(count == 1 for count in seats.values())


@settings(max_examples=100, deadline=None)
@given(clusters(), st.data())
def test_with_the_lock_nothing_moves(cluster: Cluster, data: st.DataObject) -> None:
    cluster, placement = placeable(cluster)
    lock = Lock(placement=seats_of(placement))
    assert resolve(cluster, lock).ranks == placement.ranks
    if not cluster.deployments:
        return
    gone = data.draw(st.sampled_from([deployment.name for deployment in cluster.deployments]))
    rest = tuple(rank for rank in placement.ranks if rank.deployment != gone)
    assert resolve(without(cluster, gone), lock).ranks == rest
