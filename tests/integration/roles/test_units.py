"""The exact unit and environment of a rank, as the role's templates write them for each engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def ansible_playbook(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), *words],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_what_a_rank_gets(engine, tmp_path):
    settings = {"engine": engine, "out": tmp_path, "ansible_python_interpreter": sys.executable}
    words = [word for name, value in settings.items() for word in ("-e", f"{name}={value}")]
    done = ansible_playbook(HERE / "units.yml", "-i", "localhost,", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("rank.service", "rank.env", "supervised-rank.service", "supervised-supervise.service"):
        golden = HERE / "golden" / engine / name
        if os.environ.get("UPDATE_GOLDEN"):
            golden.parent.mkdir(parents=True, exist_ok=True)
            golden.write_text((tmp_path / name).read_text())
        assert (tmp_path / name).read_text() == golden.read_text()


# That for Kubernetes takes rendered files and no inventory.
PLAYBOOKS = sorted(
    f"playbooks/{path.name}" for path in (ROOT / "playbooks").glob("*.yml") if path.stem != "kubernetes"
)


@pytest.mark.parametrize("playbook", ["site.yml", *PLAYBOOKS])
def test_an_inventory_of_another_kind_is_refused(playbook):
    done = ansible_playbook(playbook, "-i", "somewhere,")
    assert done.returncode == 2
    assert "The inventory has no group nim_cluster_nodes" in done.stdout
