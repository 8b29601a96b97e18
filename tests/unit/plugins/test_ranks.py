import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import ranks
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import Seen, restart_reason, restarts

RANK = {"name": "r1-0-1", "deployment": "r1", "replica": 0, "rank": 1, "spec": "new"}


def seen(state="active", container="new", unit="new", engine="podman"):
    return Seen(state=state, container_spec=container, unit_spec=unit, unit_engine=engine)


def test_a_rank_that_runs_as_defined_stays():
    assert restart_reason(RANK, "podman", seen()) == ""


def test_a_file_that_was_lost_or_changed_restarts_nothing():
    assert restart_reason(RANK, "podman", seen(unit=None, engine=None)) == ""
    assert restart_reason(RANK, "podman", seen(unit="old")) == ""


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (seen(state="inactive"), "it does not run"),
        (seen(state="failed"), "it does not run"),
        (seen(container="old"), "its definition changed"),
        # An interrupted run: the files are new, what runs is not.
        (seen(container="old", unit="new"), "its definition changed"),
        # Between two restarts there is no container; then the unit says what it was started from.
        (seen(state="activating", container=None, unit="old"), "its definition changed"),
        (seen(engine="docker"), "the container engine changes from docker to podman"),
        (seen(container=None, unit=None, engine=None), "nobody knows from which definition it runs"),
    ],
)
def test_reasons_to_restart(found, reason):
    assert restart_reason(RANK, "podman", found) == reason


def plan(**reasons):
    return {name.replace("_", "-"): {"replica": "r1-0", "reason": reason} for name, reason in reasons.items()}


def test_one_rank_restarts_its_whole_replica_and_no_other():
    plans = {
        "node1": {**plan(r1_0_0=""), "x-1-0": {"replica": "x-1", "reason": ""}},
        "node2": plan(r1_0_1="it does not run"),
    }
    assert restarts(plans) == {"r1-0": "r1-0-1 on node2: it does not run"}


def test_nothing_restarts_where_nothing_is_wrong():
    assert restarts({"node1": plan(r1_0_0=""), "node2": plan(r1_0_1="")}) == {}


def test_a_replica_with_a_node_out_of_reach_is_incomplete():
    assert ranks.incomplete([RANK], {"r1-0": ["node1", "node2"]}, ["node1"]) == {"r1-0": ["node2"]}
    assert ranks.incomplete([RANK], {"r1-0": ["node1", "node2"]}, ["node1", "node2"]) == {}


def test_marks_of_a_unit_are_read_from_its_own_section_only():
    text = (
        "[Unit]\nCluster=no\n[Service]\nEngine=no\n\n[X-Nimctl]\nCluster=prod\nSpec=abc\n\n[Install]\nR=no\n"
    )
    assert ranks.unit_marks(text) == {"cluster": "prod", "spec": "abc"}
    assert ranks.unit_marks("[Unit]\nDescription=x\n") == {}


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
def test_an_environment_file_cannot_carry_line_breaks(value):
    with pytest.raises(ValueError, match="NAME"):
        ranks.env_line("NAME", value)


def test_names():
    assert ranks.replica_group({"deployment": "deep-seek", "replica": 3}) == "nim_replica_deep_seek_3"
    assert ranks.unit_name("r1-0-0") == "nim-r1-0-0.service"
    assert ranks.secret_path("prod", "NGC_API_KEY") == "/etc/nimctl/secrets/prod/NGC_API_KEY.env"


@pytest.mark.parametrize(
    ("before", "now", "state", "sub", "expected"),
    [
        (0, 0, "active", "running", False),
        (40, 41, "active", "running", False),
        (40, 43, "active", "running", True),
        (0, 1, "activating", "auto-restart", False),
        (5, 5, "activating", "auto-restart", True),
        (5, 5, "activating", "auto-restart-queued", True),
        (0, 0, "failed", "failed", True),
    ],
)
def test_a_rank_that_goes_round_in_circles(before, now, state, sub, expected):
    assert ranks.keeps_restarting(before, now, state, sub) is expected
