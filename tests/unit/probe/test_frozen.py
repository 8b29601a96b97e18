"""A file system that has stopped answering: for real, with FUSE."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LONG = 30
"""Seconds: many times what it takes on an idle machine, and not for ever."""
UNSHARE = ("unshare", "--mount", "--propagation", "private")
COLLECTIONS = HERE.parents[2] / "collections"

PROBE = """
import json, os, sys, time
sys.path.insert(0, sys.argv[1])
from ansible_collections.nimctl.multinode.plugins.module_utils.host import mounts
from ansible_collections.nimctl.multinode.plugins.module_utils.host.probe import probe
mounts.PATIENCE = 2.0
start = time.monotonic()
host = probe()
left = open(f"/proc/self/task/{os.getpid()}/children").read().split()
states = [open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0] for pid in left]
print(json.dumps({"took": time.monotonic() - start, "host": host, "left": states}))
"""


def in_a_frozen_folder(folder: Path, manner: str, *command: str) -> str:
    """What a command prints that runs while a folder hangs."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    done = subprocess.run(
        [*UNSHARE, sys.executable, HERE / "frozen.py", folder, manner, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no FUSE here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("manner", "left"), [("deaf", []), ("mute", ["D"])])
def test_a_frozen_mount_is_named_and_holds_nothing_up(tmp_path, manner, left):
    found = json.loads(in_a_frozen_folder(tmp_path, manner, sys.executable, "-c", PROBE, str(COLLECTIONS)))
    assert found["took"] < LONG
    named = re.escape(f"{tmp_path} (store01:/srv/models, fuse.frozen) does not answer since ") + r"\d+ s"
    assert [text for text in found["host"]["problems"] if re.fullmatch(named, text)]
    assert [mount["answers"] for mount in found["host"]["mounts"] if mount["target"] == str(tmp_path)] == [
        False
    ]
    assert found["host"]["system"]["kernel"]
    # Behind a mute server even a killed process waits on; the probe does not.
    assert [state for state in found["left"] if state != "Z"] == left


def test_whoever_reads_our_output_is_not_held_up_either(tmp_path):
    """An SSH session ends when its output is closed: nothing that hangs may hold it open."""
    start = time.monotonic()
    # The pipe of this command's output is closed only when every process that has it has ended.
    in_a_frozen_folder(
        tmp_path, "mute", "sh", "-c", f"{sys.executable} -c '{PROBE}' {COLLECTIONS} | cat > /dev/null"
    )
    assert time.monotonic() - start < LONG
