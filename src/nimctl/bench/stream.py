"""The events of a streamed answer, as an OpenAI endpoint sends them."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable
from typing import Any


class BadStreamError(Exception):
    """The stream holds something else than events of an answer; its text is the beginning of it."""


class EngineSaysError(Exception):
    """The endpoint sent an error as an event of the stream; the text is its message."""


class Reader:
    """Takes the bytes of a stream as they arrive and notes when each piece of the answer came.

    ``first`` and ``last`` are the times of the first and the last chunk that carries a part of the answer, in
    seconds of ``clock``; ``gaps`` the times between such chunks. A chunk may carry several tokens, so
    how many there are comes from ``usage`` (or, where the answer was cut at its limit, from that limit).
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._rest = b""
        self.first: float | None = None
        self.last: float | None = None
        self.gaps: array[float] = array("d")
        self.chunks = 0
        self.usage: dict[str, Any] | None = None
        self.finish: str | None = None
        self.done = False

    def feed(self, data: bytes) -> None:
        """Take what has just arrived.

        Raises:
            BadStreamError: a line is no event, or its content is no JSON object.
            EngineSaysError: the event is an error.
        """
        now = self._clock()
        if self._rest:
            data = self._rest + data
        lines = data.split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip(), now)
            # Other fields, comments (": ping") and the empty lines between events carry no answer.

    def _event(self, text: bytes, now: float) -> None:
        if text == b"[DONE]":
            self.done = True
            return
        try:
            event = json.loads(text)
        except ValueError:
            raise BadStreamError(text[:120].decode(errors="replace")) from None
        if not isinstance(event, dict):
            raise BadStreamError(text[:120].decode(errors="replace"))
        if isinstance(event.get("usage"), dict):
            self.usage = event["usage"]
        choices = event.get("choices")
        if not choices:
            if event.get("error") or event.get("object") == "error":
                raise EngineSaysError(_message(event))
            return
        choice = choices[0] if isinstance(choices, list) else None
        if not isinstance(choice, dict):
            raise BadStreamError(text[:120].decode(errors="replace"))
        if choice.get("finish_reason"):
            self.finish = choice["finish_reason"]
        if _carries(choice):
            self.chunks += 1
            if self.last is None:
                self.first = now
            else:
                self.gaps.append(now - self.last)
            self.last = now


def _carries(choice: dict[str, Any]) -> bool:
    """Whether a chunk holds a part of the answer; the first one of a chat only names the role."""
    if choice.get("text"):
        return True
    delta = choice.get("delta")
    return isinstance(delta, dict) and bool(
        delta.get("content")
        or delta.get("reasoning_content")
        or delta.get("reasoning")
        or delta.get("tool_calls")
    )


def _message(event: dict[str, Any]) -> str:
    error = event.get("error")
    if isinstance(error, dict):
        return str(error.get("message") or error)
    return str(error or event.get("message") or event)
