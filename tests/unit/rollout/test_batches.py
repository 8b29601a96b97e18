import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimctl.errors import RejectedError
from nimctl.rollout.batches import Change, plan, size_of
from nimctl.rollout.changes import Found, find
from nimctl.rollout.gate import refusal
from nimctl.rollout.replicas import Replica, gaps, stopped


def changes(*nodes, **fields):
    return [Change(node, **fields) for node in nodes]


def batches(*arguments, **options):
    return [batch.nodes for batch in plan(*arguments, **options).batches]


def test_the_canary_is_one_node_and_goes_first():
    nodes = [f"n{i}" for i in range(9)]
    assert batches(changes(*nodes), [], "4") == [("n0",), tuple(nodes[1:5]), tuple(nodes[5:])]


def test_a_part_of_the_nodes_is_rounded_down_but_never_to_nothing():
    assert (size_of("25%", 9), size_of("25%", 2), size_of("3", 2)) == (2, 1, 3)


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-1", "all", "1.5", ""])
def test_other_sizes_are_refused(text):
    with pytest.raises(RejectedError, match="expected a number of nodes"):
        plan(changes("n1"), [], text)


def test_nodes_of_a_replica_go_together_as_canary_too():
    twin = [Replica("twin", 0, ("a1", "a2")), Replica("twin", 1, ("b1", "b2"))]
    assert batches(changes("a1", "b1", "a2", "b2"), twin, "1") == [("a1", "a2"), ("b1", "b2")]


def test_every_deployment_keeps_a_replica():
    pair = [Replica("pair", 0, ("a",)), Replica("pair", 1, ("b",)), Replica("pair", 2, ("c",))]
    assert batches(changes("a", "b", "c"), pair, "3") == [("a",), ("b", "c")]


def test_a_deployment_with_one_replica_waits_for_leave():
    one = [Replica("one", 0, ("a",))]
    found = plan(changes("a", "b"), one, "2")
    assert [batch.nodes for batch in found.batches] == [("b",)]
    assert found.waiting == {
        "a": "one would have no serving replica meanwhile; allow it with --allow-gap one"
    }
    allowed = plan(changes("a", "b"), one, "2", ["one"])
    assert (allowed.waiting, [batch.stops for batch in allowed.batches]) == ({}, [("one-0",), ()])


def test_what_does_not_serve_yet_may_go_at_once():
    idle = [Replica("one", 0, ("a",), serving=False), Replica("one", 1, ("b",), serving=False)]
    assert batches(changes("a", "b", "c"), idle, "3") == [("a",), ("b", "c")]


def test_unfinished_nodes_go_first_storage_and_gateways_last_and_alone():
    nodes = [*changes("store1", "store2", alone=True), *changes("a", "b"), *changes("c", unfinished=True)]
    assert batches(nodes, [], "8") == [("c",), ("a", "b"), ("store1",), ("store2",)]


def test_the_gap_must_be_of_a_deployment():
    with pytest.raises(RejectedError, match="no such deployment"):
        plan(changes("a"), [Replica("one", 0, ("a",))], "1", ["two"])


def test_resuming_falls_out_of_what_is_left():
    def site(done):
        return [Found(f"n{i}", "none" if f"n{i}" in done else "reboot") for i in range(4)]

    first, _ = find(site(()), reboot_ok=True)
    begun = batches(first, [], "1")[:2]
    rest, _ = find(site({node for batch in begun for node in batch}), reboot_ok=True)
    assert batches(rest, [], "1") == [("n2",), ("n3",)]
    assert find(site({"n0", "n1", "n2", "n3"}), reboot_ok=True) == ([], {})


def test_a_node_that_was_not_given_back_is_taken_up_though_it_is_as_wanted():
    found, waiting = find([Found("n1", "none", drained="change")], reboot_ok=False)
    assert (found, waiting) == ([Change("n1", unfinished=True)], {})


def test_a_person_s_drain_is_none_of_ours():
    assert find([Found("n1", "none", drained="drain")], reboot_ok=True) == ([], {})


def test_without_leave_nodes_are_listed_with_what_they_wait_for():
    found, waiting = find(
        [
            Found("n1", "reboot", ("driver 580 is built",)),
            Found("n2", "drain"),
            Found("n3", "drain", drained="drain"),
            Found("n4", "restart"),
        ],
        reboot_ok=False,
    )
    assert found == []
    assert waiting == {
        "n1": "a reboot is needed (driver 580 is built); allow it with `reboot_ok: true` under `stack`",
        "n2": "a drain is needed; allow it with `reboot_ok: true` under `stack`",
    }


def test_no_batch_begins_after_too_many_failures_or_too_late():
    assert refusal([], 0, "", None, 100.0) == ""
    assert "n1 failed (--max-fail 0)" in refusal(["n1"], 0, "", None, 100.0)
    assert refusal(["n1"], 1, "03:30", 200.0, 100.0) == ""
    assert "after 03:30" in refusal([], 0, "03:30", 200.0, 200.0)


NAMES = [f"n{i}" for i in range(12)]
REPLICAS = st.lists(
    st.builds(
        Replica,
        deployment=st.sampled_from(["d", "e", "f"]),
        index=st.integers(0, 5),
        nodes=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True).map(tuple),
        serving=st.booleans(),
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda replica: replica.name,
)
CHANGES = st.lists(
    st.builds(
        Change,
        node=st.sampled_from(NAMES),
        unfinished=st.booleans(),
        alone=st.integers(0, 3).map(lambda n: not n),
    ),
    min_size=1,
    unique_by=lambda change: change.node,
)


@given(CHANGES, REPLICAS, st.integers(1, 12), st.booleans())
def test_rules_of_every_rollout(nodes, replicas, size, leave):
    allowed = {replica.deployment for replica in replicas[:1]} if leave else set()
    found = plan(nodes, replicas, str(size), sorted(allowed))
    order = [node for batch in found.batches for node in batch.nodes]
    alone = {change.node for change in nodes if change.alone}
    # Every node once: in one batch, or waiting.
    assert sorted([*order, *found.waiting]) == sorted(change.node for change in nodes)
    for number, batch in enumerate(found.batches):
        assert batch.nodes
        assert not set(gaps(replicas, batch.nodes)) - allowed
        assert list(batch.stops) == [replica.name for replica in stopped(replicas, batch.nodes)]
        if alone & set(batch.nodes):
            assert len(batch.nodes) == 1
            assert set(order[order.index(batch.nodes[0]) :]) <= alone
        elif number == 0:
            mates = {node for item in stopped(replicas, batch.nodes[:1]) for node in item.nodes}
            assert set(batch.nodes[1:]) <= mates
    for node in found.waiting:
        assert set(gaps(replicas, [node])) - allowed
