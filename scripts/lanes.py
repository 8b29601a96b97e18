#!/usr/bin/env python3
"""Run targets of the Makefile side by side, so that no core waits for a lab that starts.

lanes.py TARGET ... runs each as `make TARGET`, in the order given, as many at once as there are lanes
(LANES, by default two). Each has a log of its own in build/lanes. One that fails prints the end of its log
at once; the others go on, and the exit code is 1. An interrupt reaches all of them, and they take down the
labs that they started.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
LOGS = ROOT / "build" / "lanes"
LANES = int(os.environ.get("LANES", "2"))
TOLD_LINES = 60
"""How much of its log a target that failed prints."""
SAY_EVERY = 30.0
"""Seconds between two words on what runs."""


class Lanes:
    """The targets that wait, run and have failed."""

    def __init__(self, targets: list[str]) -> None:
        self.waiting = deque(dict.fromkeys(targets))
        self.running: dict[str, tuple[subprocess.Popen[bytes], float]] = {}
        self.failed: list[str] = []
        self.interrupted = False
        self.began = time.monotonic()
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """One line, with the minutes since the start."""
        seconds = int(time.monotonic() - self.began)
        print(f"lanes: {seconds // 60:2}:{seconds % 60:02}  {text}", flush=True)

    def work(self, lane: int) -> None:
        """Take one target after the other until none is left."""
        while True:
            with self._lock:
                if not self.waiting or self.interrupted:
                    return
                target = self.waiting.popleft()
                run = self._start(target, lane)
            self._end(target, run.wait())

    def _start(self, target: str, lane: int) -> subprocess.Popen[bytes]:
        self.say(f"{target} begins")
        # Two scenarios at once must not share a lab.
        lab = f"{os.environ.get('NIMCTL_MOLECULE_LAB', 'molecule')}-{lane}"
        with log_of(target).open("wb") as log:
            run = subprocess.Popen(  # noqa: S603 - a target of our Makefile
                ["make", "--no-print-directory", target],  # noqa: S607 - the make that called us
                cwd=ROOT,
                env={**os.environ, "NIMCTL_MOLECULE_LAB": lab},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Its own, so that an interrupt is passed on once, whoever sent it.
                start_new_session=True,
            )
        self.running[target] = (run, time.monotonic())
        if self.interrupted:
            os.killpg(run.pid, signal.SIGINT)
        return run

    def _end(self, target: str, code: int) -> None:
        with self._lock:
            _, began = self.running.pop(target)
            took = f"{time.monotonic() - began:.0f} s"
            if code == 0:
                self.say(f"{target} passed in {took}")
                return
            self.failed.append(target)
            if self.interrupted:
                return
            self.say(f"{target} FAILED after {took}; the end of {log_of(target).relative_to(ROOT)}:")
            lines = log_of(target).read_text(errors="replace").splitlines()
            print(*(f"  {target} | {line}" for line in lines[-TOLD_LINES:]), sep="\n", flush=True)

    def tell(self) -> None:
        """Say what runs, and the last line of its log."""
        with self._lock:
            for target, (_, began) in self.running.items():
                self.say(f"{target}, {time.monotonic() - began:.0f} s: {last_line(log_of(target))}")

    def interrupt(self, number: int, _: FrameType | None) -> None:
        """Start nothing more, and end what runs; a second interrupt has nothing to add."""
        if not self.interrupted:
            self.interrupted = True
            self.say(f"{signal.Signals(number).name}: ending, and taking labs down; this takes a few seconds")
            for run, _ in list(self.running.values()):
                os.killpg(run.pid, signal.SIGINT)


def log_of(target: str) -> Path:
    """Where the output of a target goes."""
    return LOGS / f"{target}.log"


def last_line(log: Path) -> str:
    """The last line of a log that says something, cut to the width of the terminal."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - 4096))
        lines = [line.strip() for line in stream.read().decode(errors="replace").splitlines()]
    said = next((line for line in reversed(lines) if line.strip("-=* ")), "")
    return said[: max(20, shutil.get_terminal_size((120, 24)).columns - 40)]


def main(targets: list[str]) -> int:
    """Run all; 0 where all have passed, 130 after an interrupt."""
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    lanes = Lanes(targets)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lanes.interrupt)
    threads = [threading.Thread(target=lanes.work, args=(lane,)) for lane in range(1, LANES + 1)]
    for thread in threads:
        thread.start()
    told = time.monotonic()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.2)
        if time.monotonic() - told > SAY_EVERY:
            told = time.monotonic()
            lanes.tell()
    if lanes.interrupted:
        lanes.say("interrupted")
        return 130
    if lanes.failed:
        lanes.say(f"{len(lanes.failed)} of {len(targets)} failed: {', '.join(lanes.failed)}")
        return 1
    lanes.say(f"all {len(targets)} passed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
