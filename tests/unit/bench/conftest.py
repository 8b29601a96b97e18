"""An endpoint on loopback that answers, delays and fails as a test tells it."""

import asyncio
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Manners:
    """How the endpoint behaves; ``failing`` names what goes wrong, for every ``every``-th stream.

    ``gather`` is how many streams the next answer waits for, so that a slow machine shows no other picture.
    """

    tokens_per_chunk: int = 1
    seconds_per_chunk: float = 0.0
    usage: bool = True
    refuses: tuple[str, ...] = ()
    failing: str | None = None
    every: int = 1
    key: str | None = None
    template: int = 7
    models: tuple[str, ...] = ("tiny",)
    finish: str = "length"
    asked: list[dict[str, Any]] = field(default_factory=list)
    most_at_once: int = 0
    gather: int = 0


class Endpoint:
    """A server in a thread of its own; one token is one word of four letters."""

    def __init__(self) -> None:
        self.manners = Manners()
        self._busy = 0
        self._streams = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        start = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        )
        self._server = start.result(10)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        here = asyncio.current_task()
        others = [task for task in asyncio.all_tasks() if task is not here]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = head.split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._answer(lines[0].split()[1], headers, body, writer):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        manners = self.manners
        if manners.key and headers.get("authorization") != f"bearer {manners.key}":
            return _plain(writer, 401, {"error": {"message": "Unauthorized"}})
        if path == "/v1/models":
            return _plain(writer, 200, {"data": [{"id": name} for name in manners.models]})
        if path not in ("/v1/chat/completions", "/v1/completions"):
            return _plain(writer, 404, {"error": {"message": f"no such route {path}"}})
        asked = json.loads(body)
        manners.asked.append(asked)
        for name in manners.refuses:
            if name in asked:
                say = "use max_completion_tokens" if name == "max_tokens" else f"unknown field {name}"
                return _plain(writer, 400, {"error": {"message": say}})
        text = asked["messages"][0]["content"] if "messages" in asked else asked["prompt"]
        limit = asked.get("max_tokens") or asked["max_completion_tokens"]
        usage = {"prompt_tokens": len(text.split()) + manners.template, "completion_tokens": limit}
        if not asked["stream"]:
            return _plain(
                writer, 200, {"choices": [{"text": "x"}], "usage": usage if manners.usage else None}
            )
        self._streams += 1
        self._busy += 1
        manners.most_at_once = max(manners.most_at_once, self._busy)
        while self._busy < manners.gather:
            await asyncio.sleep(0.005)
        manners.gather = 0
        try:
            # The first streams of a run are questions of nimctl to itself, which are to go well.
            fails = manners.failing if self._streams % manners.every == 0 and limit > 4 else None
            return await self._stream(writer, "messages" in asked, limit, asked, usage, fails)
        finally:
            self._busy -= 1

    async def _stream(
        self,
        writer: asyncio.StreamWriter,
        chat: bool,
        limit: int,
        asked: dict[str, Any],
        usage: dict[str, int],
        fails: str | None,
    ) -> bool:
        manners = self.manners
        if fails == "http 503":
            return _plain(writer, 503, {"error": {"message": "overloaded"}})
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        if chat:
            _event(writer, {"choices": [{"delta": {"role": "assistant", "content": ""}}]})
        sent = 0
        while sent < limit and fails != "empty":
            if fails and sent:
                if fails == "cut off":
                    return False
                if fails == "hang":
                    await asyncio.sleep(3600)
                if fails == "engine":
                    _event(writer, {"error": {"message": "EngineCore died"}})
                    break
                if fails == "no stream":
                    writer.write(_chunk(b"data: {nonsense\n\n"))
                    break
            sent = min(limit, sent + manners.tokens_per_chunk)
            await asyncio.sleep(manners.seconds_per_chunk)
            part = {"delta": {"content": " word"}} if chat else {"text": " word"}
            _event(writer, {"choices": [part | {"finish_reason": manners.finish if sent == limit else None}]})
        if manners.usage and asked.get("stream_options", {}).get("include_usage"):
            _event(writer, {"choices": [], "usage": usage})
        writer.write(_chunk(b"data: [DONE]\n\n") + _chunk(b""))
        await writer.drain()
        return True


def _event(writer: asyncio.StreamWriter, content: dict[str, Any]) -> None:
    writer.write(_chunk(b"data: " + json.dumps(content).encode() + b"\n\n"))


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _plain(writer: asyncio.StreamWriter, status: int, content: dict[str, Any]) -> bool:
    data = json.dumps(content).encode()
    head = (
        f"HTTP/1.1 {status} Status\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    writer.write(head.encode() + data)
    return True


@pytest.fixture(scope="session")
def _endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.stop()


@pytest.fixture
def endpoint(_endpoint: Endpoint) -> Endpoint:
    """The endpoint, with good manners."""
    _endpoint.manners = Manners()
    return _endpoint
