import io
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from rich.console import Console

from nimctl.run import collection, session
from nimctl.run.redact import Redactor

KEY = "nvapi-in-the-environment"
HOSTS = """
nim_nodes:
  hosts:
    a1: {{ansible_connection: local, ansible_python_interpreter: "{python}"}}
    a2: {{ansible_connection: local, ansible_python_interpreter: "{python}"}}
"""
PLAYBOOK = """
- name: Hosts
  hosts: nim_nodes
  gather_facts: false
  tasks:
    - name: Touch
      ansible.builtin.command: "true"
      changed_when: inventory_hostname == 'a1'
    - name: Say
      ansible.builtin.debug: {msg: "the key is {{ lookup('env', 'NGC_API_KEY') }}"}
    - name: Wait
      ansible.builtin.pause: {seconds: "{{ wait | default(0) | int }}"}
      when: wait is defined
    - name: Break
      ansible.builtin.fail: {msg: "bad key {{ lookup('env', 'NGC_API_KEY') }}"}
      when: broken is defined
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs the playbook above on two nodes that are this machine; returns the outcome and what it printed."""
    (tmp_path / "hosts.yml").write_text(HOSTS.format(python=sys.executable))
    (tmp_path / "site.yml").write_text(PLAYBOOK)
    found = collection.Collection(tmp_path, None)
    monkeypatch.setattr(collection, "find", lambda: found)
    monkeypatch.setenv("NGC_API_KEY", KEY)
    # A place of its own: other runs on this machine have their private folders in the usual one.
    (tmp_path / "runtime").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.chdir(tmp_path)

    def start(*arguments, **options):
        request = session.Request(
            "provision",
            "demo",
            "site",
            tmp_path / "hosts.yml",
            nodes=["a1", "a2"],
            arguments=arguments,
            **options,
        )
        out = Console(file=io.StringIO(), width=120)
        outcome = session.run(request, out, Redactor([KEY]))
        session.conclude(outcome, out)
        return outcome, out.file.getvalue()

    return start


def private_folders():
    return set(Path(os.environ["XDG_RUNTIME_DIR"]).iterdir())


def test_a_run_from_start_to_record(run, tmp_path):
    outcome, printed = run()
    assert outcome.exit_code == 0
    summary = outcome.summary()
    assert summary["result"] == "done"
    assert summary["changed"] == [{"stage": "Hosts", "task": "Touch", "nodes": ["a1"]}]
    assert summary["nodes"]["a1"]["changed"] == 1
    assert summary["nodes"]["a2"]["changed"] == 0
    assert "changed a1: Touch" in printed
    assert sorted(path.name for path in outcome.record.iterdir()) == ["events.jsonl", "summary.json"]
    everything = "".join(
        path.read_text() for path in tmp_path.rglob("*") if path.is_file() and path.name != "site.yml"
    )
    assert KEY not in everything
    assert private_folders() == set()


def test_a_failure_says_where_and_why_without_the_secret(run):
    outcome, printed = run("-e", "broken=1")
    assert outcome.exit_code == 1
    assert outcome.summary()["failed"][0]["message"] == "bad key ********"
    assert outcome.summary()["failed"][0]["nodes"] == ["a1", "a2"]
    assert "failed a[1-2]: Break" in printed
    assert KEY not in printed
    assert str(outcome.record) in printed


def test_arguments_that_ansible_refuses_touch_nothing(run):
    outcome, printed = run("--no-such-option")
    assert outcome.exit_code == 2
    assert "no node was contacted" in printed
    assert "--no-such-option" in printed
    assert "Traceback" not in printed


def test_an_interrupt_ends_ansible_and_says_how_to_go_on(run):
    def interrupt():
        time.sleep(4)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    begun = time.monotonic()
    outcome, printed = run("-e", "wait=60")
    assert time.monotonic() - begun < 30
    assert outcome.exit_code == 130
    assert outcome.verdict == "interrupted"
    assert "it carries on" in printed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
