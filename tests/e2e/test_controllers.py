"""Runs that meet each other, and runs that were killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from labs import Lab, clone, start_lab

pytestmark = pytest.mark.slow

SECONDS = 120


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Iterator[Lab]:
    yield from start_lab(clone(), tmp_path_factory.mktemp("lab"), "--nodes", "2")


@contextmanager
def running(lab: Lab, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A plain ansible-playbook in a process group of its own, past the point where it took the lease."""
    command = [str(lab.installation.bin / "ansible-playbook"), "site.yml", "-i", str(lab.inventory)]
    with log.open("wb") as output:
        run = subprocess.Popen(
            command,
            cwd=lab.installation.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SECONDS
        while "Hosts | container engine" not in log.read_text():
            assert run.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield run
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()


def test_a_run_that_was_killed_is_carried_on(lab, tmp_path):
    with running(lab, tmp_path / "killed.log") as run:
        time.sleep(4)
        os.killpg(run.pid, signal.SIGKILL)
    lab.installation.nimctl("provision", "-i", lab.inventory)
    lab.installation.nimctl("test", "-i", lab.inventory)


def test_two_controllers_are_told_of_each_other(lab, tmp_path):
    log = tmp_path / "first.log"
    with running(lab, log) as first:
        second = lab.installation.nimctl("provision", "-i", lab.inventory, check=False)
        assert second.returncode == 1
        said = " ".join(second.stderr.split())
        assert re.search(r"is being changed by \S+@\S+ since \d+ s", said), second.stderr
        assert "nimctl_break_lease=" in said
        assert str(first.pid) in said
        assert first.wait(timeout=SECONDS) == 0, log.read_text()


def test_a_lease_of_somebody_else_is_broken_by_its_name(lab):
    taken = (
        "import json,sys,time; now=time.time();"
        "json.dump({'owner': 'eve@other', 'machine': 'm', 'boot': 'b', 'pid': 1, 'started': '1',"
        " 'run': 'other-1', 'since': now - 600, 'expires': now + 600}, open(sys.argv[1], 'w'))"
    )
    cluster = lab.sh("node1", "ls /var/lib/nimctl").split()[0]
    lab.sh("node1", f'python3 -c "{taken}" /var/lib/nimctl/{cluster}/lease.json')
    refused = lab.installation.nimctl("provision", "-i", lab.inventory, check=False)
    assert refused.returncode == 1
    assert "eve@other since 10 min" in " ".join(refused.stderr.split())
    lab.installation.nimctl("provision", "-i", lab.inventory, "--", "-e", "nimctl_break_lease=other-1")
