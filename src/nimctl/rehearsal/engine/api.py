"""The leader's HTTP server: OpenAI routes, health, metrics and topology."""

from __future__ import annotations

import contextlib
import hmac
import itertools
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from .engine import Engine
from .errors import EngineDeadError
from .launch import Launch
from .log import log
from .metrics import Metrics
from .net import api_address, listen
from .openai import Answer, ApiError, Ask, StopBuffer, parse
from .text import decode

_BODY_LIMIT = 64 * 1024 * 1024
_LOOK_SECONDS = 0.5
"""How often a request looks whether its client is still there."""


@dataclass(slots=True)
class State:
    """What the server answers from; ``engine`` is None until every rank has joined and the model is warm."""

    launch: Launch
    metrics: Metrics
    engine: Engine | None = None
    topology: list[dict[str, object]] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))


class Server(ThreadingHTTPServer):
    """One thread per connection, on IPv4 and IPv6."""

    daemon_threads = True

    def __init__(self, state: State, port: int) -> None:
        listener = listen(state.launch.host, port)
        self.address_family = listener.family
        super().__init__(listener.getsockname()[:2], Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_port = port
        self.state = state

    def start(self) -> None:
        """Answer in the background."""
        threading.Thread(target=self.serve_forever, daemon=True, name="http").start()
        where = api_address(self.state.launch.host, self.server_port)
        log.info("HTTP server listening on %s", where)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no error of ours."""
        log.debug("connection from %s ended early", client_address)


class Handler(BaseHTTPRequestHandler):
    """Routes of one connection."""

    protocol_version = "HTTP/1.1"
    server: Server
    timeout = 3600
    # Headers and body leave in one packet, without waiting for an acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Health, models, metrics, topology."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Completions."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Log requests only when debugging: probes would drown the rest."""
        log.debug("%s %s", self.address_string(), format % args)

    def _answer(self, route: Callable[[str], None]) -> None:
        try:
            route(self.path.partition("?")[0])
        except ApiError as error:
            self._json(error.status, error.body)
        except EngineDeadError:
            self._json(500, ApiError(500, "EngineCore encountered an issue.", "InternalServerError").body)
        self.wfile.flush()

    def _get(self, path: str) -> None:
        state, dialect = self.server.state, self.server.state.launch.dialect
        if path in dialect.live:
            self._json(200, {"object": "health.response", "message": "live", "status": "live"})
        elif path in dialect.ready:
            ready = state.engine is not None
            word = "ready" if ready else "not ready: waiting for every rank"
            self._json(200 if ready else 503, {"object": "health.response", "message": word, "status": word})
        elif path in dialect.metrics:
            running, waiting = state.engine.load() if state.engine else (0, 0)
            self._send(200, state.metrics.render(running, waiting).encode(), "text/plain; version=0.0.4")
        elif path == "/v1/models":
            self._allow()
            self._json(200, self._models())
        elif path == "/v1/rehearsal/topology":
            self._json(200, state.topology)
        else:
            raise ApiError(404, f"no such route: GET {path}", "NotFoundError")

    def _post(self, path: str) -> None:
        body = self._body()
        if path not in ("/v1/chat/completions", "/v1/completions"):
            raise ApiError(404, f"no such route: POST {path}", "NotFoundError")
        self._allow()
        state = self.server.state
        if state.engine is None:
            raise ApiError(
                503, "the model is not ready: not every rank has joined", "ServiceUnavailableError"
            )
        try:
            content = json.loads(body)
        except ValueError as error:
            raise ApiError(400, f"the body is no JSON: {error}") from None
        ask = parse(
            content,
            is_chat=path == "/v1/chat/completions",
            served=state.launch.served,
            max_model_len=state.launch.settings.max_model_len,
        )
        answer = Answer(ask, next(state.numbers))
        if ask.stream:
            self._stream(state.engine, ask, answer)
        else:
            self._whole(state.engine, ask, answer)

    def _whole(self, engine: Engine, ask: Ask, answer: Answer) -> None:
        texts, reason, tokens = [], "stop", 0
        for text, tokens, reason in self._pieces(engine, ask):  # noqa: B007 - the last values count
            texts.append(text)
        self._json(200, answer.whole("".join(texts), reason, tokens))

    def _stream(self, engine: Engine, ask: Ask, answer: Answer) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        tokens = 0
        try:
            if ask.chat:
                self._event(answer.chunk(None))
            for text, tokens, reason in self._pieces(engine, ask):  # noqa: B007 - the last values count
                if text or reason:
                    self._event(answer.chunk(text, reason or None))
            if ask.usage:
                self._event(answer.counts(tokens))
        except EngineDeadError:
            self._event(ApiError(500, "EngineCore encountered an issue.", "InternalServerError").body)
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _pieces(self, engine: Engine, ask: Ask) -> Iterator[tuple[str, int, str]]:
        """Text as it comes, with the tokens so far and, in the last one, why it ended."""
        request = engine.submit(ask.prompt, ask.sampling)
        buffer, count = StopBuffer(ask.stop), 0
        done, looked = False, time.monotonic()
        try:
            for event in engine.tokens(request, _LOOK_SECONDS):
                if time.monotonic() - looked > _LOOK_SECONDS:
                    looked = time.monotonic()
                    if self._gone():
                        raise ConnectionAbortedError("the client has gone")
                if isinstance(event, str):
                    done = True
                    yield buffer.rest(), count, event
                elif event is not None:
                    count += 1
                    text = buffer.push(decode([event]))
                    if buffer.stopped:
                        yield text, count, "stop"
                        return
                    yield text, count, ""
        finally:
            if not done:
                engine.abort(request)

    def _gone(self) -> bool:
        """Tell whether the client has closed its side while it waits for an answer."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        if not readable:
            return False
        with contextlib.suppress(OSError):
            return not self.connection.recv(1, socket.MSG_PEEK)
        return True

    def _event(self, content: object) -> None:
        self._chunk(b"data: " + json.dumps(content).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _models(self) -> dict[str, object]:
        launch = self.server.state.launch
        models = [
            {
                "id": name,
                "object": "model",
                "created": 0,
                "owned_by": "rehearsal",
                "root": launch.model,
                "parent": None,
                "max_model_len": launch.settings.max_model_len,
            }
            for name in launch.served
        ]
        return {"object": "list", "data": models}

    def _allow(self) -> None:
        key = self.server.state.launch.api_key
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if key and not hmac.compare_digest(given.encode(), key.encode()):
            raise ApiError(401, "Unauthorized", "AuthenticationError")

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return self._chunked_body()
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit():
            self.close_connection = True
            raise ApiError(400, "bad Content-Length")
        if int(length) > _BODY_LIMIT:
            self.close_connection = True
            raise ApiError(413, "the body is too large", "RequestEntityTooLargeError")
        return self.rfile.read(int(length))

    def _chunked_body(self) -> bytes:
        data = bytearray()
        while True:
            try:
                size = int(self.rfile.readline(64).split(b";")[0], 16)
            except ValueError:
                self.close_connection = True
                raise ApiError(400, "bad chunked body") from None
            if len(data) + size > _BODY_LIMIT:
                self.close_connection = True
                raise ApiError(413, "the body is too large", "RequestEntityTooLargeError")
            data += self.rfile.read(size)
            self.rfile.readline(64)
            if not size:
                return bytes(data)

    def _json(self, status: int, content: object) -> None:
        self._send(status, json.dumps(content).encode() + b"\n", "application/json")

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
