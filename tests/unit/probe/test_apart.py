import os
import time
from pathlib import Path

from ansible_collections.nimctl.multinode.plugins.module_utils.host.apart import ask_apart


def test_answers_come_by_name_whatever_their_size():
    answers, late = ask_apart({"large": lambda: "x" * 3_000_000, "none": lambda: None}, 10)
    assert answers == {"large": "x" * 3_000_000, "none": None}
    assert late == []


def test_one_that_hangs_costs_the_time_limit_and_no_other_answer():
    start = time.monotonic()
    answers, late = ask_apart({"hangs": lambda: time.sleep(60), "answers": lambda: 1}, 0.5)
    assert answers == {"answers": 1}
    assert late == ["hangs"]
    assert time.monotonic() - start < 30


def test_all_that_hang_share_one_limit():
    start = time.monotonic()
    _, late = ask_apart({str(number): lambda: time.sleep(60) for number in range(20)}, 0.5)
    assert len(late) == 20
    assert time.monotonic() - start < 30


def test_what_a_question_started_ends_with_it(tmp_path):
    def start_another():
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
        (tmp_path / "pid").write_text(str(pid))
        time.sleep(60)

    ask_apart({"starts": start_another}, 0.5)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        # Gone, or dead and waiting for init to notice.
        status = Path(f"/proc/{pid}/status")
        if not status.exists() or "zombie" in status.read_text():
            return
        time.sleep(0.02)
    raise AssertionError("it still runs")


def test_one_that_fails_says_why():
    answers, late = ask_apart({"fails": lambda: [][1]}, 5)
    assert answers == {"fails": {"error": "IndexError: list index out of range"}}
    assert late == []


def test_one_that_is_killed_is_told_from_one_that_is_late():
    answers, late = ask_apart({"dies": lambda: os.kill(os.getpid(), 9)}, 5)
    assert answers == {"dies": {"error": "its process ended without an answer"}}
    assert late == []


def test_nothing_of_ours_is_open_in_the_other_process(tmp_path):
    with (tmp_path / "x").open("w") as ours:
        answers, _ = ask_apart({"open": lambda: Path(f"/proc/self/fd/{ours.fileno()}").exists()}, 5)
    assert answers == {"open": False}
