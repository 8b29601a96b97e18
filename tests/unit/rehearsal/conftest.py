"""Ranks as processes of this machine, each on a loopback address of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

SECONDS = 20.0
"""Longest wait for anything that should come at once; only a failing test waits so long."""


def wait_for(check: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := check():
            return result
        time.sleep(0.02)
    pytest.fail(f"{what}: not within {seconds} s")


def free_port() -> int:
    with socket.create_server(("", 0)) as listener:
        return int(listener.getsockname()[1])


class Forker:
    """Starts processes of the engine; see forker.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forker.py"))],
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **question: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def stop(self) -> None:
        self._process.communicate(timeout=SECONDS)


class Rank:
    """One rank as a process; ``log`` is what it has printed."""

    def __init__(
        self, forker: Forker, folder: Path, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self._log = folder / f"rank-{time.monotonic_ns()}.log"
        self._log.touch()
        self._forker = forker
        self._code: int | None = None
        own = {"PATH": os.environ["PATH"], **environment}
        self._pid = forker.ask(start=[list(command), own, str(self._log)])

    @property
    def log(self) -> str:
        return self._log.read_text()

    def logs(self, text: str) -> None:
        """Wait until the rank has printed something."""
        wait_for(lambda: text in self.log or not self.running(), f"{text!r} in the log")
        assert text in self.log, self.log

    def running(self) -> bool:
        if self._code is None:
            self._code = self._forker.ask(poll=self._pid)
        return self._code is None

    def ends(self) -> int:
        """Wait for the end of the process; its exit code."""
        wait_for(lambda: not self.running(), "the end of a rank")
        assert self._code is not None
        return self._code

    def signal(self, number: int) -> None:
        if self.running():
            os.kill(self._pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.ends()

    def ticks(self) -> int:
        """Processor time used, in ticks of 10 ms."""
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])


class Api:
    """A client of a leader."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port = port
        self.host = host

    def call(self, path: str, body: Any = None, timeout: float = SECONDS, **headers: str) -> tuple[int, Any]:
        """GET, or POST when there is a body; the status, and the body parsed where it is JSON."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
            connection.request("GET" if body is None else "POST", path, data, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        is_json = answer.headers.get_content_type() == "application/json"
        return answer.status, json.loads(text) if is_json else text

    def status(self, path: str) -> int:
        """The status of a GET; 0 while nobody listens."""
        try:
            return self.call(path)[0]
        except OSError:
            return 0

    def ready(self, path: str = "/v1/health/ready") -> None:
        wait_for(lambda: self.status(path) == 200, f"{path} on port {self.port}")

    def chat(self, text: str = "Say hello to the cluster", **options: Any) -> Any:
        body = {"messages": [{"role": "user", "content": text}], "max_tokens": 24, **options}
        status, answer = self.call("/v1/chat/completions", body)
        assert status == 200, answer
        return answer

    def text(self, text: str = "Say hello to the cluster", **options: Any) -> str:
        return str(self.chat(text, **options)["choices"][0]["message"]["content"])

    def stream(self, path: str, body: Mapping[str, Any]) -> list[Any]:
        """The events of a stream without the [DONE] that must end it."""
        status, text = self.call(path, {**body, "stream": True})
        assert status == 200, text
        events = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
        assert events.pop() == "[DONE]"
        return [json.loads(event) for event in events]


class Starter:
    """Starts ranks and stops what it has started."""

    def __init__(self, forker: Forker, folder: Path) -> None:
        self._forker = forker
        self._folder = folder
        self._ranks: list[Rank] = []
        self._environment: dict[str, str] = {}

    def rank(self, environment: Mapping[str, str], *command: str) -> Rank:
        rank = Rank(self._forker, self._folder, command or ("start-server",), environment)
        self._ranks.append(rank)
        return rank

    def group(
        self,
        nodes: int,
        tensor: int = 1,
        pipeline: int | None = None,
        absent: Sequence[int] = (),
        **settings: str,
    ) -> tuple[Api, list[Rank]]:
        """Start a group under the engine's own contract, without waiting for it.

        ``absent`` ranks are left out; ``again`` starts them, or a rank that is there already once more.
        """
        port = free_port()
        self._environment = {
            "REHEARSAL_NODES": str(nodes),
            "REHEARSAL_LEADER": "127.0.0.1",
            "REHEARSAL_RENDEZVOUS_PORT": str(free_port()),
            "REHEARSAL_TENSOR": str(tensor),
            "REHEARSAL_PIPELINE": str(pipeline or nodes // tensor),
            "REHEARSAL_PORT": str(port),
            "REHEARSAL_SERVED_NAME": "tiny",
            **{f"REHEARSAL_{name.upper()}": value for name, value in settings.items()},
        }
        return Api(port), [self.again(number) for number in range(nodes) if number not in absent]

    def environment(self, number: int) -> dict[str, str]:
        """The variables of a rank of the group."""
        own = (
            {}
            if ":" in self._environment["REHEARSAL_LEADER"]
            else {"REHEARSAL_ADDRESS": f"127.0.0.{number + 1}"}
        )
        return {**self._environment, "REHEARSAL_RANK": str(number), **own}

    def again(self, number: int) -> Rank:
        """Start a rank of the group."""
        return self.rank(self.environment(number))

    def stop(self) -> None:
        for rank in self._ranks:
            rank.signal(signal.SIGTERM)
        for rank in self._ranks:
            rank.ends()


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    forker = Forker()
    yield forker
    forker.stop()


@pytest.fixture
def starter(forker: Forker, tmp_path: Path) -> Iterator[Starter]:
    starter = Starter(forker, tmp_path)
    yield starter
    starter.stop()


@pytest.fixture(scope="module")
def shared(forker: Forker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """For groups that the tests of a module only ask."""
    starter = Starter(forker, tmp_path_factory.mktemp("ranks"))
    yield starter
    starter.stop()


@pytest.fixture(scope="module")
def single(shared: Starter) -> Api:
    """A model on one rank."""
    api, _ = shared.group(1)
    api.ready()
    return api


@pytest.fixture(scope="session")
def api_class() -> type[Api]:
    return Api


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Waits until something is true: ``until(check, what)``."""
    return wait_for


@pytest.fixture(scope="session")
def port() -> Callable[[], int]:
    """Finds a free port."""
    return free_port
