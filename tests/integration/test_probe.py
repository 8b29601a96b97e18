"""The probe as Ansible runs it, from a clone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOSTS = ROOT / "tests" / "fixtures" / "hosts"
FROZEN = ROOT / "tests" / "unit" / "probe" / "frozen.py"
ANSIBLE = Path(sys.executable).with_name("ansible")


def run(*before: str | Path, arguments: str = "") -> subprocess.CompletedProcess[str]:
    """Probe the machine that this runs on, as the documentation says."""
    return subprocess.run(
        [*before, ANSIBLE, "localhost", "-c", "local", "-m", "nimctl.multinode.host_probe", "-a", arguments],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_FORCE_COLOR": "0"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def host_of(done: subprocess.CompletedProcess[str]) -> dict:
    """What the probe found."""
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.partition("=>")[2])["host"]


def test_the_machine_is_probed():
    assert host_of(run())["system"]["kernel"] == os.uname().release


def test_the_hardware_of_a_recorded_host_on_this_machine():
    host = host_of(run(arguments=f"kernel={HOSTS / 'gb200-tray'}"))
    assert host["system"]["architecture"] == "aarch64"
    assert len(host["gpus"]) == 4
    assert host["packages"] == host_of(run())["packages"]


def test_a_folder_that_is_not_there_is_refused():
    done = run(arguments="kernel=/nowhere")
    assert done.returncode == 2
    assert "kernel: found /nowhere, expected a folder that exists on the node" in done.stdout


def test_a_run_goes_on_beside_a_dead_file_system(tmp_path):
    done = run("unshare", "--mount", "--propagation", "private", sys.executable, FROZEN, tmp_path, "mute")
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no FUSE here: {done.stderr.strip()}")
    named = f"{tmp_path} (store01:/srv/models, fuse.frozen) does not answer since "
    assert [text for text in host_of(done)["problems"] if text.startswith(named)]
