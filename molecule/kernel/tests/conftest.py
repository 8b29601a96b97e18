"""The three machines, with everything run as root; a command costs seconds there."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import testinfra

ROOT = Path(__file__).parents[3]
INVENTORY = Path(os.environ["NIMCTL_MOLECULE_INVENTORY"])


class Machine:
    """A machine of the lab."""

    def __init__(self, host):
        self.host = host
        self.variables = host.ansible.get_variables()
        self.address = self.variables["ansible_host"]

    def run(self, script):
        """How a script ends."""
        with self.host.sudo():
            return self.host.run("sh -c %s", script)

    def sh(self, script):
        """What a script prints that has to succeed."""
        done = self.run(script)
        assert done.rc == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout.strip()

    def wait(self, script, seconds):
        """Wait until a script succeeds."""
        until = time.monotonic() + seconds
        while (done := self.run(script)).rc and time.monotonic() < until:
            time.sleep(1)
        assert done.rc == 0, f"not within {seconds} s: {script}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def nodes():
    """The machines by name."""
    hosts = testinfra.get_hosts(["ansible://nim_nodes"], ansible_inventory=str(INVENTORY))
    return {host.backend.get_hostname(): Machine(host) for host in hosts}


@pytest.fixture(scope="session")
def ansible():
    """Start a command of ansible-core on the lab, in a session of its own."""

    def start(program, *words):
        return subprocess.Popen(
            [Path(sys.executable).with_name(program), "-i", INVENTORY, *words],
            cwd=ROOT,
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_TIMEOUT": "120"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    return start


@pytest.fixture(scope="session")
def lab():
    """Run a verb of `nimctl lab` on the lab."""

    def run(*words):
        command = [Path(sys.executable).with_name("nimctl"), "lab", *words, "--name", INVENTORY.name]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    return run
