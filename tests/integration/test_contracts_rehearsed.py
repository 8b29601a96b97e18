"""What a contract renders is what the rehearsal engine accepts under it.

The two were written from the same sources and without a look at each other, so an error in one shows here.
Ranks run as processes on loopback addresses, with exactly the environment and the command of the placement;
only the cache folder, which a container would have, is one of the test's.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml

from nimctl.contracts import load_contracts
from nimctl.inventory import read
from nimctl.placement import Rank

CONTRACTS = sorted(
    name
    for name, contract in load_contracts().items()
    if "rehearsal" in contract.engines and name != "nim1-mpi"
)
SECONDS = 40


def free_port() -> int:
    """A port that nobody listens on, below those that a description keeps for outgoing connections."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            return port


def describe(folder: Path, contract: str) -> Path:
    """A description of two nodes on loopback addresses that serves one model under a contract."""
    deployment = {
        "name": "m",
        "model": "lab/m",
        "engine": "rehearsal",
        "contract": contract,
        "image": "registry.example/rehearsal:1",
        "hosts": "n[1-2]",
        "parallel": {"tensor": 1, "pipeline": 2},
        # The article's dialect has no variable for the port.
        "port": 8000 if contract == "article" else free_port(),
    }
    node = {"hosts": "n[1-2]", "addresses": "127.0.0.[2-3]", "gpu": {"count": 0}}
    document = {
        "plugin": "nimctl.multinode.cluster",
        "name": "loop",
        "nodes": [node],
        "deployments": [deployment],
        "secrets": {"ngc_api_key": {"env": "NGC_API_KEY"}},
    }
    (folder / "cluster.yml").write_text(yaml.safe_dump(document))
    return folder


def argv(rank: Rank) -> list[str]:
    """The command of a rank as the image would run it, as a command of the engine's sources."""
    prefix = "--entrypoint="
    entrypoint = [option.removeprefix(prefix) for option in rank.options if option.startswith(prefix)]
    match [*entrypoint, *rank.command]:
        case []:
            command = ["start-server"]
        case ["python3", "-m", "sglang.launch_server", *rest]:
            command = ["sglang", *rest]
        case command:
            pass
    return [sys.executable, "-m", "nimctl.rehearsal.engine", *command]


@pytest.fixture
def start(tmp_path):
    """Starts ranks, and ends them after the test."""
    running: list[subprocess.Popen[bytes]] = []
    cache = tmp_path / "cache"
    cache.mkdir()

    def start_rank(rank: Rank) -> Path:
        log = tmp_path / f"{rank.name}.log"
        environment = {"PATH": os.environ["PATH"], "OPENBLAS_NUM_THREADS": "1", **rank.environment}
        for variable, value in environment.items():
            environment[variable] = str(cache) if value == "/opt/nim/.cache" else value
        with log.open("wb") as output:
            running.append(subprocess.Popen(argv(rank), env=environment, stdout=output, stderr=output))
        return log

    yield start_rank
    for process in running:
        process.kill()
        process.wait()


def wait_until_ready(url: str, logs: list[Path]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if any("ERROR" in log.read_text() for log in logs):
            break
        time.sleep(0.1)
    pytest.fail("not ready; the ranks said:\n" + "\n".join(log.read_text() for log in logs))


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_rehearsal_engine_obeys_what_the_contract_renders(contract, start, tmp_path):
    ranks = read(describe(tmp_path, contract)).ranks
    assert [rank.rank for rank in ranks] == [0, 1]
    logs = [start(rank) for rank in ranks]
    leader = ranks[0]
    assert leader.health is not None
    url = f"http://127.0.0.2:{leader.ports['api']}"
    wait_until_ready(f"{url}{leader.health.path}", logs)
    models = [model["id"] for model in httpx.get(f"{url}/v1/models").json()["data"]]
    assert models == ["lab/m"]
    answer = httpx.post(
        f"{url}/v1/completions", json={"model": "lab/m", "prompt": "Hi", "max_tokens": 4}, timeout=20
    )
    assert answer.json()["usage"]["completion_tokens"] == 4
    said = "\n".join(log.read_text() for log in logs)
    assert "ignored" not in said, f"the contract sets what nothing reads:\n{said}"
