import json

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.service import Applied, actions, fingerprint

RELOADABLE = ["debug", "live-restore"]


def now(config=None, files=None, when="after"):
    drop_ins = [{"path": path, "before": "", "after": "", when: text} for path, text in (files or {}).items()]
    return fingerprint({when: json.dumps(config or {})}, drop_ins, RELOADABLE, when)


def decide(before, after, ranks=(), active=True, enabled=True):
    return actions(
        unit="docker.service",
        active=active,
        enabled=enabled,
        applied=Applied(before["reload"], before["restart"]),
        now=after,
        running=list(ranks),
    )


def test_nothing_changed():
    assert decide(now(), now()) == ([], [])


def test_a_key_that_a_reload_takes_over():
    assert decide(now(), now({"debug": True}), ranks=["nim-r1-0-0"]) == (["reload"], [])


def test_a_key_that_needs_a_restart():
    assert decide(now(), now({"data-root": "/big"})) == (["restart"], [])


def test_a_restart_takes_over_the_rest_as_well():
    assert decide(now(), now({"data-root": "/big", "debug": True})) == (["restart"], [])


def test_ranks_are_never_ended_by_a_restart():
    did, pending = decide(now(), now({"data-root": "/big", "debug": True}), ranks=["nim-r1-0-0"])
    assert did == ["reload"]
    assert len(pending) == 1
    assert "nim-r1-0-0" in pending[0]
    assert "systemctl restart docker.service" in pending[0]


def test_a_drop_in_needs_a_restart():
    assert decide(now(), now(files={"/etc/x.conf": "[Service]"})) == (["restart"], [])


def test_a_file_that_is_not_there_is_no_difference():
    assert now(files={"/etc/x.conf": ""}) == now()


def test_a_service_that_is_down_is_started_whatever_runs():
    assert decide(now(), now({"data-root": "/big"}), active=False, enabled=False) == (["enable", "start"], [])


def test_before_and_after_a_run_are_told_apart():
    config = {"before": "{}", "after": '{"data-root": "/big"}'}
    assert fingerprint(config, [], RELOADABLE, "before") == now()
    assert fingerprint(config, [], RELOADABLE, "after") != now()


def test_no_file_is_as_an_empty_one():
    assert fingerprint({}, [], RELOADABLE, "after") == now({})


@pytest.mark.parametrize(("newer", "restart"), [(False, False), (True, True)])
def test_a_service_that_somebody_started_has_read_what_was_there(newer, restart):
    remembered = {"invocation": "old", "applied": {"reload": "x", "restart": "y"}}
    applied = Applied.of(remembered, "new", now(), newer)
    assert (applied.restart != now()["restart"]) is restart


def test_what_was_remembered_of_this_start_counts():
    remembered = {"invocation": "this", "applied": {"reload": "x", "restart": "y"}}
    assert Applied.of(remembered, "this", now(), False) == Applied("x", "y")
