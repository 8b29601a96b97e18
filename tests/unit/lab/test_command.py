from __future__ import annotations

import threading
import time

import pytest

from nimctl.lab import command
from nimctl.lab.command import CommandError, run


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    monkeypatch.setattr(command, "_interrupted", threading.Event())


def test_input_and_output_go_through():
    assert run(("tr", "a-z", "A-Z"), data=b"hello").stdout == "HELLO"


def test_a_failure_says_which_command_and_its_last_lines():
    with pytest.raises(CommandError, match=r"exit code 3:\n  sh -c 'seq 20 >&2; exit 3'\n  6\n(.|\n)*  20$"):
        run(("sh", "-c", "seq 20 >&2; exit 3"))
    assert run(("sh", "-c", "exit 3"), check=False).returncode == 3


def test_a_missing_program_is_explained():
    with pytest.raises(CommandError, match="no-such-program: not found"):
        run(("no-such-program",))


def test_a_program_that_hangs_is_ended():
    started = time.monotonic()
    with pytest.raises(CommandError, match=r"no answer within 0\.2 s"):
        run(("sleep", "30"), timeout=0.2)
    assert time.monotonic() - started < 5


def test_an_interrupt_ends_what_runs_and_lets_nothing_start():
    errors: list[CommandError] = []

    def wait() -> None:
        try:
            run(("sleep", "30"))
        except CommandError as error:
            errors.append(error)

    thread = threading.Thread(target=wait)
    started = time.monotonic()
    thread.start()
    while not command._processes:
        time.sleep(0.01)
    command.interrupt()
    thread.join(10)
    assert time.monotonic() - started < 5
    assert len(errors) == 1
    with pytest.raises(CommandError, match="interrupted"):
        run(("true",))
