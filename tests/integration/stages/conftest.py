"""Run the real playbooks, roles and lease on nodes that are folders of this machine.

A copy of the collection in which what would touch a machine is replaced: each replaced task notes down who
asked for what, and gives what the test wants. Every node has a state folder of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
BIN = Path(sys.executable).parent
STATE = 'Path("/var/lib/nimctl")'
REPLACED = ("image_pull", "ranks", "rank_state", "rank_health", "rank_test", "firewall", "packages")
FAKE = """
import json
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        name = self._task.action.rpartition(".")[2]
        # Some are told of another node than the one that they are called for.
        node = self._task.args.get("node") or task_vars["inventory_hostname"]
        with open("{folder}/calls.jsonl", "a") as calls:
            calls.write(json.dumps([name, node, self._task.args.get("state", "")]) + "\\n")
        answers = json.load(open("{folder}/answers.json"))
        return {{"changed": False, "names": [], "ranks": {{}}, **answers.get(f"{{name}} {{node}}", {{}})}}
"""
DESCRIPTION = f"""\
plugin: nimctl.multinode.cluster
name: lab
nodes:
  - {{hosts: "node[1-3]", addresses: "192.0.2.[1-3]", gpu: {{count: 0}}}}
deployments:
  - {{name: a, model: m, engine: rehearsal, image: "reg:5000/r@sha256:{"a" * 64}", hosts: "node[1-2]"}}
  - {{name: b, model: m, engine: rehearsal, image: "reg:5000/r@sha256:{"b" * 64}", hosts: node3}}
"""
UNREACHABLE = """\
ansible_connection: ansible.builtin.ssh
ansible_host: 127.0.0.1
ansible_port: 1
ansible_ssh_args: -F none -o ConnectTimeout=2
"""


@dataclass
class Done:
    """How a run ended, what it said, and what was asked of which node: ``(module, node, state)`` in order."""

    code: int
    said: str
    calls: list[tuple[str, str, str]]

    def nodes(self, module: str) -> set[str]:
        """The nodes on which a module ran."""
        return {node for name, node, _ in self.calls if name == module}


class Cluster:
    """Three nodes with two replicas: ``a`` on node1 and node2, ``b`` on node3."""

    nodes = ("node1", "node2", "node3")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: dict[str, dict[str, Any]] = {}
        self._collection()
        self.inventory = folder / "inventory"
        (self.inventory / "host_vars").mkdir(parents=True)
        (self.inventory / "cluster.yml").write_text(DESCRIPTION)
        for node in self.nodes:
            python = folder / f"python-{node}"
            python.write_text(f'#!/bin/sh\nNODE_STATE={self.state(node)} exec {sys.executable} "$@"\n')
            python.chmod(0o755)
            local = f"ansible_connection: local\nansible_python_interpreter: {python}\n"
            (self.inventory / "host_vars" / f"{node}.yml").write_text(local)

    def _collection(self) -> None:
        tree = self.folder / "ansible_collections" / "nimctl" / "multinode"
        tree.mkdir(parents=True)
        for name in ("galaxy.yml", "meta", "roles", "playbooks"):
            (tree / name).symlink_to(ROOT / name)
        for kind in sorted(path for path in (ROOT / "plugins").iterdir() if path.is_dir()):
            (tree / "plugins" / kind.name).mkdir(parents=True)
            for file in kind.iterdir():
                if file.name != "__pycache__":
                    (tree / "plugins" / kind.name / file.name).symlink_to(file)
        files = tree / "plugins" / "module_utils" / "files.py"
        text = files.read_text()
        assert text.count(STATE) == 1
        files.unlink()
        files.write_text(text.replace(STATE, 'Path(os.environ["NODE_STATE"])'))
        for name in REPLACED:
            action = tree / "plugins" / "action" / f"{name}.py"
            action.unlink(missing_ok=True)
            action.write_text(FAKE.format(folder=self.folder))

    def state(self, node: str) -> Path:
        """Where a node keeps its state."""
        return self.folder / "state" / node

    def lease(self, node: str) -> dict[str, Any] | None:
        """The lease on a node."""
        path = self.state(node) / "lab" / "lease.json"
        return json.loads(path.read_text()) if path.exists() else None

    def history(self, node: str) -> list[dict[str, Any]]:
        """The runs that a node remembers."""
        path = self.state(node) / "lab" / "history.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def held(self, node: str, run: str = "eve-1", left: float = 600.0) -> None:
        """Have another controller's run hold the lease of a node."""
        folder = self.state(node) / "lab"
        folder.mkdir(parents=True, exist_ok=True)
        holder = {"owner": "eve@other", "machine": "m", "boot": "b", "pid": 1, "started": "1", "run": run}
        times = {"since": time.time() - 600, "expires": time.time() + left}
        (folder / "lease.json").write_text(json.dumps(holder | times))

    def unreachable(self, node: str) -> None:
        """Take a node away."""
        (self.inventory / "host_vars" / f"{node}.yml").write_text(UNREACHABLE)

    @property
    def stages(self) -> Path:
        """Where the playbooks of the stages are."""
        return self.folder / "ansible_collections/nimctl/multinode/playbooks/stages"

    def play(self, *stages: str, arguments: tuple[str, ...] = ()) -> Done:
        """Run stages of the site one after the other in one run."""
        imports = "".join(f"- import_playbook: {self.stages}/{stage}.yml\n" for stage in stages)
        return self.run(imports, arguments)

    def run(self, text: str, arguments: tuple[str, ...] = ()) -> Done:
        """Run the text of a playbook."""
        (self.folder / "answers.json").write_text(json.dumps(self.answers))
        (self.folder / "calls.jsonl").write_text("")
        playbook = self.folder / "site.yml"
        playbook.write_text(text)
        (self.folder / "ansible.cfg").write_text(f"[defaults]\ncollections_path={self.folder}\n")
        done = subprocess.run(
            [str(BIN / "ansible-playbook"), str(playbook), "-i", str(self.inventory), *arguments],
            cwd=self.folder,
            env=os.environ | {"ANSIBLE_CONFIG": str(self.folder / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        calls = [tuple(json.loads(line)) for line in (self.folder / "calls.jsonl").read_text().splitlines()]
        return Done(done.returncode, done.stdout + done.stderr, calls)


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """Three nodes in folders of their own."""
    return Cluster(tmp_path)
