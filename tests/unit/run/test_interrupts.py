"""Ctrl-C: Ansible is told, told again where it lost the signal, and killed the second time."""

import signal

import pytest

from nimctl.run import playbook

PID = 4711


@pytest.fixture
def told(monkeypatch):
    """The signals that Ansible was sent, with the time of each; ``told.now`` is the clock."""

    class Told(list):
        now = 100.0

    signals = Told()
    monkeypatch.setattr(playbook.os, "kill", lambda pid, number: signals.append((pid, number, signals.now)))
    monkeypatch.setattr(playbook.time, "monotonic", lambda: signals.now)
    return signals


@pytest.fixture
def interrupts(tmp_path):
    """As while Ansible runs, with its process id known."""
    (tmp_path / "pid").write_text(str(PID))
    counted = []
    with playbook._Interrupts(tmp_path / "pid", counted.append) as made:
        made.counted = counted
        made.pid_file = tmp_path / "pid"
        yield made


def press(number=signal.SIGINT):
    signal.raise_signal(number)


def test_without_ctrl_c_nothing_is_sent(interrupts, told):
    assert not interrupts.kill_wanted()
    assert told == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_passed_on_and_kills_nothing(interrupts, told, number):
    press(number)
    assert told == [(PID, signal.SIGINT, 100.0)]
    assert interrupts.counted == [1]
    assert not interrupts.kill_wanted()


def test_ansible_is_told_again_where_it_lost_the_signal(interrupts, told):
    press()
    told.now += playbook.AGAIN_SECONDS - 1
    assert not interrupts.kill_wanted()
    assert len(told) == 1
    told.now += 2
    assert not interrupts.kill_wanted()
    assert len(told) == 2


def test_the_second_kills(interrupts, told):
    press()
    press()
    assert interrupts.counted == [1, 2]
    assert interrupts.kill_wanted()


def test_a_signal_before_ansible_has_a_process_id_is_not_lost(interrupts, told):
    interrupts.pid_file.unlink()
    press()
    assert told == []
    interrupts.pid_file.write_text(str(PID))
    assert not interrupts.kill_wanted()
    assert len(told) == 1


def test_afterwards_ctrl_c_is_pythons_again(tmp_path):
    with playbook._Interrupts(tmp_path / "pid", lambda count: None):
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
