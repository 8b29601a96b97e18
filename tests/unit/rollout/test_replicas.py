import pytest

from nimctl.errors import RejectedError
from nimctl.rollout.nodes import chosen
from nimctl.rollout.replicas import GapError, Replica, check_gaps, gaps, replicas_of, stopped

TWIN = [Replica("twin", 0, ("n1", "n2")), Replica("twin", 1, ("n3", "n4")), Replica("one", 0, ("n4",))]


def test_a_replica_stops_with_any_of_its_nodes():
    assert [replica.name for replica in stopped(TWIN, ["n2"])] == ["twin-0"]
    assert [replica.name for replica in stopped(TWIN, ["n4"])] == ["twin-1", "one-0"]
    assert stopped(TWIN, ["n9"]) == []


def test_a_gap_is_a_deployment_that_serves_and_would_not():
    assert gaps(TWIN, ["n1"]) == []
    assert gaps(TWIN, ["n4"]) == ["one"]
    assert gaps(TWIN, ["n1", "n4"]) == ["one", "twin"]


def test_what_does_not_serve_protects_nothing_and_needs_no_protection():
    broken = [Replica("twin", 0, ("n1",), serving=False), Replica("twin", 1, ("n2",))]
    assert gaps(broken, ["n2"]) == ["twin"]
    assert gaps(broken, ["n1"]) == []
    assert gaps([Replica("twin", 0, ("n1",), serving=False)], ["n1"]) == []


def test_the_refusal_says_what_to_do():
    with pytest.raises(GapError) as caught:
        check_gaps(TWIN, ["n1", "n4"], [])
    assert "Draining n[1,4] would leave the deployments one, twin" in str(caught.value)
    assert "--allow-gap one --allow-gap twin" in str(caught.value)
    assert caught.value.exit_code == 2
    check_gaps(TWIN, ["n1", "n4"], ["one", "twin"])


def test_an_unknown_deployment_may_have_no_gap():
    with pytest.raises(RejectedError, match="--allow-gap twn: there is no such deployment"):
        check_gaps(TWIN, ["n9"], ["twn"])


RANKS = {
    "n1": [{"name": "r-0-0", "deployment": "r", "replica": 0, "health": {"port": 1}}],
    "n2": [{"name": "r-0-1", "deployment": "r", "replica": 0, "health": {}}],
}


def seen(state="active", ok=True):
    return {
        "n1": [{"name": "r-0-0", "unit": {"state": "active"}, "health": {"ok": ok}}],
        "n2": [{"name": "r-0-1", "unit": {"state": state}, "health": None}],
    }


@pytest.mark.parametrize(
    ("found", "serving"),
    [
        (None, True),
        (seen(), True),
        (seen(ok=False), False),
        (seen(state="inactive"), False),
        ({"n1": seen()["n1"]}, False),
        ({}, False),
    ],
)
def test_a_replica_serves_with_all_its_ranks(found, serving):
    assert replicas_of(RANKS, found) == [Replica("r", 0, ("n1", "n2"), serving)]


def test_nodes_are_chosen_by_node_sets():
    assert chosen(["n[2-3]", "n1,n2"], ["n1", "n2", "n3"]) == ["n2", "n3", "n1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("n[1", "expected a node set"), ("n7", "n7 is no node of this cluster"), ("old", "old is leaving")],
)
def test_nodes_that_cannot_be_are_refused(text, message):
    with pytest.raises(RejectedError, match=message):
        chosen([text], ["n1"], ["old"])
