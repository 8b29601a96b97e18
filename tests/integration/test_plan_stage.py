"""The plan stage: every node is read and every layer decided before the first change anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOSTS = ROOT / "tests" / "fixtures" / "hosts"
CLUSTER = """\
plugin: nimctl.multinode.cluster
name: test
connection: {become: false}
stack:
  driver: {branch: BRANCH}
  container_toolkit: {mode: ignore}
  fabric_manager: {mode: ignore}
  gpu_direct: {mode: ignore}
  rdma: {mode: ignore}
  tuning: {mode: ignore}
  firewall: {mode: ignore}
nodes:
  - {hosts: "old[1-2]", addresses: "10.0.0.[1-2]", gpu: {model: MODEL, count: 4}}
  - {hosts: new, addresses: 10.0.0.3, gpu: {model: h100-sxm, count: 8}}
"""
PLAYBOOK = """\
- ansible.builtin.import_playbook: {plan}
- name: After
  hosts: nim_nodes
  gather_facts: false
  tasks:
    - name: Change something
      ansible.builtin.file: {{path: "{touched}", state: touch, mode: "0600"}}
"""


@pytest.fixture
def run(tmp_path: Path):
    """Runs the stage on nodes that are this machine with the hardware of recorded hosts."""
    if not (ROOT / "roles/nvidia_driver/tasks/main.yml").exists():
        pytest.skip("the collection has no role nvidia_driver yet")

    def _run(
        branch: str, model: str = "h100-sxm", mode: str = "managed", **probes: str
    ) -> tuple[int, str, Path]:
        folder = tmp_path / "inventory"
        (folder / "host_vars").mkdir(parents=True, exist_ok=True)
        text = CLUSTER.replace("BRANCH", f"{branch}, mode: {mode}").replace("MODEL", model)
        (folder / "cluster.yml").write_text(text)
        for node, recorded in probes.items():
            variables = {
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
                "nim_probe_kernel": str(HOSTS / recorded),
                "nim_probe_root": str(HOSTS / recorded),
            }
            (folder / "host_vars" / f"{node}.yml").write_text(json.dumps(variables))
        touched = tmp_path / "touched"
        playbook = tmp_path / "plan.yml"
        playbook.write_text(PLAYBOOK.format(plan=ROOT / "playbooks" / "stages" / "plan.yml", touched=touched))
        command = [ROOT / ".venv/bin/ansible-playbook", "-i", folder, playbook]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr, touched

    return _run


def test_one_old_gpu_stops_the_run_on_every_node_before_the_first_change(run, tmp_path):
    code, said, touched = run("595", old1="v100-x4", old2="v100-x4", new="hgx-h100-x8")
    assert code != 0
    assert "Nothing was changed on any node" in said
    assert "old[1-2]: driver: " in said
    assert "volta" in said
    assert "580" in said
    assert not touched.exists()
    assert not (tmp_path / "inventory" / "cluster.lock.yml").exists()


SETTLE = """\
- name: Settle
  hosts: nim_nodes
  gather_facts: false
  tasks:
    - name: Lock what was chosen
      nimctl.multinode.stack_settle: {results: planned}
      run_once: true
"""


def test_what_all_nodes_choose_is_locked_once(tmp_path):
    folder = tmp_path / "inventory"
    (folder / "group_vars").mkdir(parents=True)
    (folder / "cluster.yml").write_text(CLUSTER.replace("BRANCH", "580").replace("MODEL", "h100-sxm"))
    (tmp_path / "settle.yml").write_text(SETTLE)

    def settle(version: str, *arguments: str) -> str:
        planned = {"planned": {"plans": {"driver": {"version": version}}, "refused": []}}
        (folder / "group_vars" / "nim_nodes.json").write_text(json.dumps(planned))
        command = [ROOT / ".venv/bin/ansible-playbook", "-i", folder, tmp_path / "settle.yml", *arguments]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    lock = folder / "cluster.lock.yml"
    assert "changed=1" in settle("580.126.20", "--check")
    assert not lock.exists()
    assert "changed=1" in settle("580.126.20")
    first = lock.read_text()
    assert 'driver: {version: "580.126.20"}' in first
    assert "changed=1" not in settle("580.178.04")
    assert lock.read_text() == first


def test_a_layer_that_is_only_checked_stops_the_run_before_the_first_change_where_it_differs(run):
    hosts = {"old1": "h200-sxm-x1", "old2": "h200-sxm-x1", "new": "h200-sxm-x1"}
    code, said, touched = run("570", mode="verify", **hosts)
    assert code != 0
    assert "driver: it is only checked here (mode: verify), and differs" in " ".join(said.split())
    assert not touched.exists()
    code, said, touched = run("580", mode="verify", **hosts)
    assert code == 0, said
    assert touched.exists()
