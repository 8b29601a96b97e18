"""The request and answer bodies of the OpenAI routes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .sampling import Sampling
from .text import BOS, VOCABULARY, chat, encode

_DEFAULT_COMPLETION_TOKENS = 16


class ApiError(Exception):
    """An answer other than 200, with the body that OpenAI clients expect."""

    def __init__(
        self, status: int, message: str, kind: str = "BadRequestError", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        error = {"message": message, "type": kind, "param": param, "code": status}
        self.body = {"error": error, "object": "error", **error}


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, checked. ``chat`` tells the route; ``usage`` asks for a last chunk with counts."""

    chat: bool
    model: str
    prompt: list[int]
    sampling: Sampling
    stop: tuple[str, ...]
    stream: bool
    usage: bool


def parse(body: object, *, is_chat: bool, served: Sequence[str], max_model_len: int) -> Ask:
    """Check a request body; raises ApiError 400, or 404 for a model that is not served."""
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object")
    model = body.get("model", served[0])
    if model not in served:
        raise ApiError(404, f"The model `{model}` does not exist.", "NotFoundError", "model")
    for name in ("logprobs", "echo", "tools"):
        if body.get(name):
            raise ApiError(400, f"{name} is not supported", param=name)
    if body.get("n") not in (None, 1):
        raise ApiError(400, "only n=1 is supported", param="n")
    prompt = _conversation(body) if is_chat else _prompt(body)
    room = max_model_len - len(prompt)
    if room < 1:
        raise ApiError(
            400,
            f"This model's maximum context length is {max_model_len} tokens. However, your prompt has "
            f"{len(prompt)} tokens. Please reduce its length.",
            param="messages" if is_chat else "prompt",
        )
    stream = _boolean(body, "stream")
    options = body.get("stream_options")
    if options is not None and (not isinstance(options, dict) or not stream):
        raise ApiError(400, "stream_options is an object and needs stream=true", param="stream_options")
    return Ask(
        chat=is_chat,
        model=str(model),
        prompt=prompt,
        sampling=Sampling(
            max_tokens=_max_tokens(body, is_chat=is_chat, room=room),
            temperature=_number(body, "temperature", 1.0, 0.0, 2.0),
            top_p=_number(body, "top_p", 1.0, 0.0, 1.0),
            seed=_integer(body, "seed", 0, -(2**63)),
            ignore_eos=_boolean(body, "ignore_eos"),
        ),
        stop=_stop(body),
        stream=stream,
        usage=_boolean(options, "include_usage") if options else False,
    )


class Answer:
    """Writes the objects of one answer, whole or in chunks."""

    def __init__(self, ask: Ask, number: int) -> None:
        self._ask = ask
        self._created = int(time.time())
        self._id = f"{'chatcmpl' if ask.chat else 'cmpl'}-{self._created:x}{number:06x}"

    def whole(self, text: str, reason: str, tokens: int) -> dict[str, Any]:
        """The one object of an answer that is not streamed."""
        if self._ask.chat:
            choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}}
        else:
            choice = {"index": 0, "text": text}
        choice |= {"logprobs": None, "finish_reason": reason}
        kind = "chat.completion" if self._ask.chat else "text_completion"
        return {**self._head(kind), "choices": [choice], "usage": self._usage(tokens)}

    def chunk(self, text: str | None, reason: str | None = None) -> dict[str, Any]:
        """One event of a stream; ``None`` is the first one of a chat, which names the role."""
        if self._ask.chat:
            delta = (
                {"role": "assistant", "content": ""} if text is None else {"content": text} if text else {}
            )
            choice: dict[str, Any] = {"index": 0, "delta": delta}
        else:
            choice = {"index": 0, "text": text or ""}
        choice |= {"logprobs": None, "finish_reason": reason}
        kind = "chat.completion.chunk" if self._ask.chat else "text_completion"
        return {**self._head(kind), "choices": [choice]}

    def counts(self, tokens: int) -> dict[str, Any]:
        """The last event of a stream that asked for usage."""
        kind = "chat.completion.chunk" if self._ask.chat else "text_completion"
        return {**self._head(kind), "choices": [], "usage": self._usage(tokens)}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._ask.model}

    def _usage(self, tokens: int) -> dict[str, int]:
        prompt = len(self._ask.prompt)
        return {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens}


class StopBuffer:
    """Text on its way out, held back while it might be the beginning of a stop string."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = stop
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """Add text; returns what can go out. A stop string is left out and sets ``stopped``."""
        self._held += text
        found = [position for word in self._stop if (position := self._held.find(word)) >= 0]
        if found:
            self.stopped = True
            out, self._held = self._held[: min(found)], ""
            return out
        keep = max((_overlap(self._held, word) for word in self._stop), default=0)
        out, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return out

    def rest(self) -> str:
        """What was held back when the answer ended without a stop string."""
        return self._held


def _overlap(text: str, word: str) -> int:
    """How many of the last characters of ``text`` begin ``word``."""
    return next(
        (size for size in range(min(len(text), len(word) - 1), 0, -1) if text.endswith(word[:size])), 0
    )


def _conversation(body: Mapping[str, Any]) -> list[int]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise ApiError(400, "messages must be a list with at least one message", param="messages")
    turns = []
    for index, message in enumerate(messages):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("system", "developer", "user", "assistant", "tool"):
            raise ApiError(
                400, f"messages[{index}] needs a role: system, user or assistant", param="messages"
            )
        turns.append((role, _content(message.get("content"), index)))
    return chat(turns)


def _content(content: object, index: int) -> str:
    if isinstance(content, list):
        texts = [
            part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"
        ]
        if len(texts) == len(content) and all(isinstance(text, str) for text in texts):
            return "".join(map(str, texts))
    elif isinstance(content, str):
        return content
    raise ApiError(400, f"messages[{index}].content must be text", param="messages")


def _prompt(body: Mapping[str, Any]) -> list[int]:
    prompt = body.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return [BOS, *encode(prompt)]
    if isinstance(prompt, list) and prompt and all(type(token) is int for token in prompt):
        if not all(0 <= token < len(VOCABULARY) for token in prompt):
            raise ApiError(400, f"token ids are between 0 and {len(VOCABULARY) - 1}", param="prompt")
        return prompt
    raise ApiError(400, "prompt must be a text or a list of token ids, and one only", param="prompt")


def _max_tokens(body: Mapping[str, Any], *, is_chat: bool, room: int) -> int:
    name = "max_completion_tokens" if body.get("max_completion_tokens") is not None else "max_tokens"
    default = room if is_chat else min(room, _DEFAULT_COMPLETION_TOKENS)
    value = _integer(body, name, default, 1)
    if value > room:
        raise ApiError(
            400, f"{name}={value} is too large: the prompt leaves room for {room} tokens", param=name
        )
    return value


def _stop(body: Mapping[str, Any]) -> tuple[str, ...]:
    stop = body.get("stop")
    words = [] if stop is None else [stop] if isinstance(stop, str) else stop
    if not isinstance(words, list) or not all(isinstance(word, str) and word for word in words):
        raise ApiError(400, "stop must be a text or a list of texts, none of them empty", param="stop")
    return tuple(words)


def _boolean(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise ApiError(400, f"{name} must be true or false", param=name)
    return bool(value)


def _integer(body: Mapping[str, Any], name: str, default: int, low: int) -> int:
    value = body.get(name)
    if value is None:
        return default
    if type(value) is not int or value < low:
        raise ApiError(400, f"{name} must be a whole number of at least {low}, got {value!r}", param=name)
    return value


def _number(body: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ApiError(400, f"{name} must be between {low:g} and {high:g}, got {value!r}", param=name)
    return float(value)
