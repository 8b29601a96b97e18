"""One request to an OpenAI endpoint, and when its answer came."""

from __future__ import annotations

import json
import ssl
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

import httpx

from nimctl.bench.stream import BadStreamError, EngineSaysError, Reader

Api = Literal["chat", "completions"]
PATHS: Mapping[Api, str] = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
CONNECT = 10.0
"""Seconds to wait for a connection."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. Times are seconds of one monotonic clock; those of the answer are None where it failed.

    ``error`` is the kind of failure, as docs/reference/bench.md lists them; ``detail`` says more. ``gaps``
    are the times between chunks. ``tokens`` is None where nothing tells how many there were.
    """

    begun: float
    ended: float
    first: float | None = None
    last: float | None = None
    gaps: array[float] = field(default_factory=lambda: array("d"))
    chunks: int = 0
    prompt_tokens: int | None = None
    tokens: int | None = None
    finish: str | None = None
    error: str | None = None
    detail: str = ""

    @property
    def ttft(self) -> float | None:
        """Seconds from the request to the first part of the answer."""
        return None if self.first is None else self.first - self.begun

    @property
    def e2e(self) -> float | None:
        """Seconds from the request to the last part of the answer."""
        return None if self.last is None else self.last - self.begun

    @property
    def tpot(self) -> float | None:
        """Seconds per token after the first one, by the counted tokens and not by chunks."""
        if self.first is None or self.last is None or self.tokens is None or self.tokens < 2:
            return None
        return (self.last - self.first) / (self.tokens - 1)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What an endpoint understands of the fields that keep an answer's length fixed.

    ``limit`` is the name of the field for the most tokens; ``extra`` are fields that the user adds.
    """

    limit: str = "max_tokens"
    ignore_eos: bool = True
    usage: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)

    def body(self, api: Api, model: str, text: str, tokens: int, *, stream: bool = True) -> bytes:
        """The request as JSON."""
        asked: dict[str, Any] = {"model": model, self.limit: tokens, "stream": stream}
        if api == "chat":
            asked["messages"] = [{"role": "user", "content": text}]
        else:
            asked["prompt"] = text
        if self.ignore_eos:
            asked["ignore_eos"] = True
        if stream and self.usage:
            asked["stream_options"] = {"include_usage": True}
        return json.dumps(asked | dict(self.extra)).encode()


class Client:
    """Asks one endpoint; an async context manager. ``timeout`` is the longest silence, in seconds."""

    def __init__(self, url: str, api: Api, model: str, key: str | None, timeout: float) -> None:
        self.url = url
        self.api = api
        self.model = model
        self.dialect = Dialect()
        # Neither a proxy nor a password of this machine's environment: they would be measured as well, or
        # given away. Certificates are those that the system trusts (SSL_CERT_FILE holds).
        self.http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT), pool=None),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            trust_env=False,
            verify=ssl.create_default_context(),
        )

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def ask(self, text: str, tokens: int) -> Sample:
        """Stream one answer of so many tokens. A failure is a sample with an error, not an exception."""
        body = self.dialect.body(self.api, self.model, text, tokens)
        headers = {"Content-Type": "application/json"}
        reader = Reader(time.perf_counter)
        begun = time.perf_counter()
        error: tuple[str, str] | None
        try:
            async with self.http.stream(
                "POST", self.url + PATHS[self.api], content=body, headers=headers
            ) as answer:
                if answer.status_code == 200:
                    async for data in answer.aiter_bytes():
                        reader.feed(data)
                    error = _unfinished(reader)
                else:
                    error = (
                        f"http {answer.status_code}",
                        short((await answer.aread()).decode(errors="replace")),
                    )
        except httpx.TimeoutException as failure:
            error = "timeout", type(failure).__name__
        except httpx.ConnectError as failure:
            error = "connect", short(str(failure))
        except httpx.HTTPError as failure:
            error = "cut off", short(str(failure) or type(failure).__name__)
        except EngineSaysError as failure:
            error = "engine", short(str(failure))
        except BadStreamError as failure:
            error = "no stream", short(str(failure))
        ended = time.perf_counter()
        if error is not None:
            return Sample(begun, ended, error=error[0], detail=error[1])
        usage = reader.usage or {}
        counted = usage.get("completion_tokens")
        if counted is None and reader.finish == "length":
            counted = tokens
        return Sample(
            begun,
            ended,
            first=reader.first,
            last=reader.last,
            gaps=reader.gaps,
            chunks=reader.chunks,
            prompt_tokens=usage.get("prompt_tokens"),
            tokens=counted,
            finish=reader.finish,
        )


def _unfinished(reader: Reader) -> tuple[str, str] | None:
    if not reader.done and reader.finish is None:
        return "cut off", f"the stream ended after {reader.chunks} chunks without [DONE]"
    if reader.first is None:
        return "empty", "an answer without a token"
    return None


def short(text: str, length: int = 200) -> str:
    """A text on one line, cut where it is too long for a message."""
    flat = " ".join(text.split())
    return flat if len(flat) <= length else f"{flat[: length - 1]}…"
