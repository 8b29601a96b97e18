"""Ask what could hang, each question in a process of its own that can be given up.

A process that waits for a dead file server cannot always be ended: where the server has taken the request and
does not answer, not even SIGKILL ends the wait. So nothing here ever waits for such a process: it has no open
file in common with us but the pipe of its answer, and the time is ours, not its.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

QUIET = os.devnull
"""What a process that outlives us may hold: an SSH session stays open as long as its output is."""


def ask_apart(questions: Mapping[str, Callable[[], Any]], seconds: float) -> tuple[dict[str, Any], list[str]]:
    """Ask all at once. Returns the answers by name, and the names that have none after ``seconds``.

    Answers are what JSON can say. A question that raises is answered with ``{"error": text}``.
    """
    waiting: dict[int, tuple[str, int]] = {}
    parts: dict[int, list[bytes]] = {}
    for name, question in questions.items():
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            _answer(question, writing)
        os.close(writing)
        waiting[reading] = (name, pid)
        parts[reading] = []
    answers: dict[str, Any] = {}
    end = time.monotonic() + seconds
    while waiting:
        ready, _, _ = select.select(list(waiting), [], [], max(0.0, end - time.monotonic()))
        if not ready:
            break
        for reading in ready:
            piece = os.read(reading, 1 << 16)
            if piece:
                parts[reading].append(piece)
                continue
            name, pid = waiting.pop(reading)
            os.close(reading)
            os.waitpid(pid, 0)
            text = b"".join(parts[reading])
            answers[name] = json.loads(text) if text else {"error": "its process ended without an answer"}
    for reading, (_, pid) in waiting.items():
        os.close(reading)
        _give_up(pid)
    return answers, [name for name, _ in waiting.values()]


def _answer(question: Callable[[], Any], writing: int) -> None:
    """Be the child: answer, and end without anything that belongs to the parent."""
    try:
        # A group of its own, so that what it started ends with it.
        os.setsid()
        null = os.open(QUIET, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        _close_others(writing)
        try:
            answer = question()
        except Exception as error:  # The parent is told; a traceback would go nowhere.
            answer = {"error": f"{type(error).__name__}: {error}"}
        rest = json.dumps(answer).encode()
        while rest:
            rest = rest[os.write(writing, rest) :]
    finally:
        os._exit(0)


def _close_others(kept: int) -> None:
    """Close every open file but the standard ones and ``kept``."""
    os.closerange(3, kept)
    highest = max(map(int, os.listdir("/proc/self/fd")), default=kept)
    os.closerange(kept + 1, highest + 1)


def _give_up(pid: int) -> None:
    """End a process and its group if they can be ended, without waiting for it."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        # It has not come to its setsid yet.
        os.kill(pid, signal.SIGKILL)
    # One that can be ended is gone within this time; the other is init's when we end.
    for _ in range(20):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.01)
