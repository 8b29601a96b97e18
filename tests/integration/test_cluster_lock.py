"""The first run locks what is missing, check mode only says so, and what must not start is refused."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nimctl.lock import read_lock

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "cd" * 32
PLAYBOOK = """\
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - nimctl.multinode.cluster_lock:
      register: locked
    - ansible.builtin.meta: refresh_inventory
    - ansible.builtin.debug:
        msg:
          changed: "{{ locked.changed }}"
          changes: "{{ locked.changes }}"
          image: "{{ (hostvars['node1'].nim_ranks | default([{'image': ''}], true))[0].image }}"
"""


@pytest.fixture
def registry() -> Iterator[str]:
    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Docker-Content-Digest", DIGEST)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def describe(folder: Path, registry: str, **changes: str) -> Path:
    engine, contract = changes.get("engine", "rehearsal"), changes.get("contract", "rehearsal")
    image = f"{registry}/rehearsal:1"
    nodes = changes.get("nodes", '  - {hosts: "node[1-2]", addresses: "10.0.0.[1-2]", gpu: {count: 0}}\n')
    (folder / "cluster.yml").write_text(
        "plugin: nimctl.multinode.cluster\nname: lab\n"
        f"stack: {{container_engine: {{registries: [{{host: '{registry}', insecure: true}}]}}}}\n"
        f"nodes:\n{nodes}"
        "deployments:\n"
        f"  - {{name: a, model: m, engine: {engine}, contract: {contract}, image: '{image}'}}\n"
        "secrets: {ngc_api_key: {env: NGC_API_KEY}}\n",
        encoding="utf-8",
    )
    return folder


def run(folder: Path, *arguments: str) -> tuple[int, dict[str, object], str]:
    playbook = folder.parent / f"{folder.name}-play.yml"
    playbook.write_text(PLAYBOOK, encoding="utf-8")
    environment = os.environ | {
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    }
    done = subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(folder), str(playbook), *arguments],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    message: dict[str, object] = {}
    if '"msg": {' in done.stdout:
        text = done.stdout[done.stdout.index('"msg": {') + len('"msg": ') :]
        message, _ = json.JSONDecoder().raw_decode(text)
    return done.returncode, message, done.stdout + done.stderr


def test_first_run_second_run_and_check_mode(tmp_path: Path, registry: str) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    describe(folder, registry)
    code, said, output = run(folder, "--check", "--diff")
    assert code == 0, output
    assert said["changed"] is True
    assert f"+ image {registry}/rehearsal:1: to be looked up" in str(said["changes"])
    assert read_lock(folder) is None
    code, said, output = run(folder)
    assert code == 0, output
    assert said == {
        "changed": True,
        "changes": [
            f"+ image {registry}/rehearsal:1: {DIGEST}",
            "+ deployment a, replica 0: node1; rendezvous 29600",
        ],
        "image": f"{registry}/rehearsal@{DIGEST}",
    }
    code, said, output = run(folder)
    assert code == 0, output
    assert said["changed"] is False


def test_the_article_is_not_started_with_a_real_image(tmp_path: Path, registry: str) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    nodes = "  - {hosts: node1, addresses: 10.0.0.1, gpu: {model: h100-sxm, count: 8}}\n"
    describe(folder, registry, engine="nim", contract="article", nodes=nodes)
    code, said, output = run(folder)
    assert code != 0
    assert said == {}
    assert "contract: nim1-env" in output
    assert "Traceback" not in output
    assert read_lock(folder) is None


def test_a_registry_that_cannot_be_reached(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    code, _, output = run(describe(folder, "127.0.0.1:1"))
    assert code != 0
    assert "cannot be reached" in output
    assert "--image" in output
    assert "Traceback" not in output


def test_another_kind_of_inventory_has_nothing_to_lock(tmp_path: Path) -> None:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "hosts.yml").write_text("all: {hosts: {node1: {}}}\n", encoding="utf-8")
    code, said, output = run(folder)
    assert code == 0, output
    assert said["changed"] is False
