import pytest
from ansible_collections.nimctl.multinode.plugins.filter.replica_seats import replica_seats
from ansible_collections.nimctl.multinode.plugins.module_utils import ranks
from ansible_collections.nimctl.multinode.plugins.module_utils.drain import Drains, told

PERSON = {"by": "ann@desk", "since": 1763928000, "why": "fan", "kind": "drain"}
RUN = {"by": "ann@desk", "since": 1763928000, "why": "a change of its host stack", "kind": "change"}


@pytest.fixture
def drains(tmp_path, monkeypatch):
    # Files on a node belong to root; a test may not be.
    monkeypatch.setattr("os.fchown", lambda *arguments: None)
    return Drains("prod", state=tmp_path)


def test_a_drain_is_noted_once_and_forgotten_once(drains):
    assert drains.record() is None
    assert drains.drain(PERSON)
    assert not drains.drain({**PERSON, "why": "other"})
    assert drains.record() == PERSON
    assert drains.undrain(["drain", "change"])
    assert not drains.undrain(["drain", "change"])
    assert drains.record() is None


def test_a_person_s_drain_outlasts_that_of_a_run(drains):
    drains.drain(PERSON)
    assert not drains.drain(RUN)
    assert not drains.undrain(["change"])
    assert drains.record() == PERSON


def test_a_person_takes_over_the_drain_of_a_run(drains):
    drains.drain(RUN)
    assert drains.drain(PERSON)
    assert not drains.undrain(["change"])


def test_a_record_that_somebody_touched_counts(drains):
    drains.folder.mkdir()
    (drains.folder / "drained").write_text("")
    assert drains.record() == {"by": "", "since": 0, "why": "", "kind": "drain"}
    assert drains.holds("r1-0-0")


def test_a_rank_is_held_until_the_last_drained_node_is_back(drains):
    assert drains.hold("r1-0-0", ["n2"])
    assert drains.hold("r1-0-0", ["n3"])
    assert not drains.hold("r1-0-0", ["n2"])
    assert drains.held("r1-0-0") == ["n2", "n3"]
    assert drains.release("r1-0-0", ["n2"])
    assert drains.holds("r1-0-0")
    assert drains.release("r1-0-0", ["n3"])
    assert not drains.holds("r1-0-0")
    assert not (drains.folder / "held").exists()


def test_a_run_over_the_cluster_knows_better_than_what_was_noted(drains):
    drains.hold("r1-0-0", ["gone", "n2"])
    assert drains.hold("r1-0-0", ["n2"], others=False)
    assert drains.held("r1-0-0") == ["n2"]
    assert drains.release("r1-0-0")
    assert drains.ranks() == []


def test_check_mode_writes_nothing(tmp_path):
    drains = Drains("prod", check=True, state=tmp_path)
    assert drains.drain(PERSON)
    assert drains.hold("r1-0-0", ["n2"])
    assert list(tmp_path.iterdir()) == []


def test_a_drain_in_words():
    assert told("gpu02", PERSON).startswith("gpu02 is drained by ann@desk since 2025-11-2")
    assert told("gpu02", {}) == "gpu02 is drained"


def test_a_replica_is_held_by_any_of_its_nodes():
    members = {"r1-0": ["n1", "n2"], "r1-1": ["n3", "n4"]}
    assert ranks.held(members, ["n2", "n9"]) == {"r1-0": ["n2"]}
    assert ranks.held(members, []) == {}


def rank(name, node):
    deployment, replica, number = name.rsplit("-", 2)
    return {
        "name": name,
        "deployment": deployment,
        "replica": int(replica),
        "rank": int(number),
        "node": node,
    }


def test_seats_are_those_of_the_same_replicas_on_all_nodes():
    hostvars = {
        "n1": {"nim_ranks": [rank("r-1-0-0", "n1"), rank("x-0-0", "n1")]},
        "n2": {"nim_ranks": [rank("r-1-0-1", "n2")]},
        "n3": {"nim_ranks": [rank("r-1-1-0", "n3")]},
    }
    groups = {"nim_replica_r_1_0": ["n1", "n2"], "nim_replica_r_1_1": ["n3"], "nim_replica_x_0": ["n1"]}
    seats = replica_seats(hostvars["n2"]["nim_ranks"], groups, hostvars)
    assert [(seat["node"], seat["leaders"], seat["workers"]) for seat in seats] == [
        ("n1", ["r-1-0-0"], []),
        ("n2", [], ["r-1-0-1"]),
    ]
    assert replica_seats([], groups, hostvars) == []
