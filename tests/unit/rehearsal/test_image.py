"""The files of the image work without nimctl around them."""

import os
import subprocess
import sys

import pytest

from nimctl.rehearsal import image


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("image") / "rootfs"
    image.write_rootfs(root)
    return root


def run(root, *arguments, **environment):
    """Run Python with what the image puts on its path, away from the sources."""
    return subprocess.run(
        [sys.executable, "-B", "-P", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(root / "opt/rehearsal"), **environment},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_engine_is_a_package_of_its_own(root):
    modules = run(
        root,
        "-c",
        "import sys, rehearsal.leader, rehearsal.main; print(any('nimctl' in name for name in sys.modules))",
    )
    assert modules.stdout == "False\n"


def test_sglang_is_started_as_a_module(root):
    found = run(root, "-m", "sglang.launch_server", "--bogus")
    assert found.returncode == 2
    assert "launch_server.py: error: the following arguments are required: --model-path" in found.stdout


def test_launchers_hand_on_their_arguments(root):
    for name in ("opt/nim/start_server.sh", "usr/local/bin/nim-serve-ray", "usr/local/bin/vllm"):
        assert (root / name).stat().st_mode & 0o777 == 0o755
        text = (root / name).read_text()
        assert text.startswith("#!/bin/sh\n")
        assert text.splitlines()[-1].startswith("exec python3 -m rehearsal ")
    vllm = run(root, "-m", "rehearsal", "vllm", "serve")
    assert vllm.returncode == 1
    assert "vllm serve needs a model" in vllm.stdout


def test_the_cache_is_open_to_any_user_and_files_are_always_the_same(root, tmp_path):
    assert (root / "opt/nim/.cache").stat().st_mode & 0o777 == 0o777
    again = tmp_path / "again"
    image.write_rootfs(again)

    def listing(folder):
        return {
            path.relative_to(folder): (path.stat().st_mode, path.is_dir() or path.read_bytes())
            for path in folder.rglob("*")
        }

    assert listing(root) == listing(again)
    assert {path.stat().st_mtime for path in root.rglob("*")} == {0.0}
