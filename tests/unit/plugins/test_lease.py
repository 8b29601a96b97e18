import os

import pytest
from ansible_collections.nimctl.multinode.plugins.action.lease import dead, identity, process_start
from ansible_collections.nimctl.multinode.plugins.module_utils.lease import age, holder, refusal

LEASE = {
    "owner": "alice@ctl1",
    "machine": "m",
    "boot": "b",
    "pid": 4711,
    "started": "100",
    "run": "ctl1-4711-100",
    "since": 1000.0,
    "expires": 50000.0,
}


@pytest.mark.parametrize(
    ("present", "run", "now", "breaking", "stands"),
    [
        (None, "mine", 2000, "", False),
        (LEASE, LEASE["run"], 2000, "", False),
        (LEASE, "mine", 2000, "", True),
        (LEASE, "mine", 50000, "", False),
        (LEASE, "mine", 2000, LEASE["run"], False),
        (LEASE, "mine", 2000, "another-run", True),
    ],
)
def test_whose_lease_stands_in_the_way(present, run, now, breaking, stands):
    assert (holder(present, run, now, breaking) is not None) is stands


def test_the_refusal_names_owner_age_and_how_to_break_it():
    text = refusal("prod", LEASE, 1000 + 2 * 3600 + 5 * 60)
    assert "alice@ctl1" in text
    assert "2 h 5 min" in text
    assert "-e nimctl_break_lease=ctl1-4711-100" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (119, "119 s"), (120, "2 min"), (7199, "119 min"), (7200, "2 h 0 min")]
)
def test_ages(seconds, text):
    assert age(seconds) == text


OWN = {"owner": "alice@ctl1", "machine": "m", "boot": "b", "pid": 1, "started": "1", "run": "mine"}


def test_a_process_that_is_gone_is_dead():
    assert dead({**LEASE, "pid": 2**22 + 1}, OWN)


def test_a_process_of_the_same_number_that_started_later_is_another():
    assert dead({**LEASE, "pid": os.getpid(), "started": "not then"}, OWN)


def test_a_process_that_lives_is_not_dead():
    assert not dead({**LEASE, "pid": os.getpid(), "started": process_start(os.getpid())}, OWN)


def test_a_reboot_of_the_controller_ends_its_runs():
    assert dead({**LEASE, "boot": "before", "pid": os.getpid(), "started": process_start(os.getpid())}, OWN)


@pytest.mark.parametrize("other", [{"owner": "bob@ctl1"}, {"owner": "alice@ctl2"}, {"machine": "another"}])
def test_nobody_elses_run_is_ever_declared_dead(other):
    assert not dead({**LEASE, **other, "pid": 2**22 + 1}, OWN)


def test_runs_of_one_process_are_one():
    assert identity()["run"] == identity()["run"]
    assert identity()["pid"] == os.getppid()
