"""Fixture repositories by HTTP, and descriptions that name them as mirrors."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
for folder in (ROOT / "collections", ROOT / "tests" / "fixtures" / "repositories"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """A folder and its address."""
    folder = tmp_path_factory.mktemp("repositories")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


CLUSTER = """\
plugin: nimctl.multinode.cluster
name: test
stack:
  driver: {{branch: 580}}
  container_engine: {{engine: podman}}
  container_toolkit: {{mode: ignore}}
  fabric_manager: {{mode: ignore}}
  gpu_direct: {{mode: ignore}}
  rdma: {{mode: ignore}}
  tuning: {{mode: ignore}}
  firewall: {{mode: managed}}
  mirrors:
    nvidia: {{url: "{address}/cuda", key: {key}}}
nodes:
  - {{hosts: "gpu[1-2]", addresses: "10.0.0.[1-2]", gpu: {{model: l40s, count: 4}}}}
"""


@pytest.fixture(scope="session")
def describe() -> Callable[[Path, str, str], Path]:
    """``describe(folder, address, key)`` writes a description into a folder and gives it."""

    def _describe(folder: Path, address: str, key: str) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / "cluster.yml").write_text(CLUSTER.format(address=address, key=key))
        return folder

    return _describe
