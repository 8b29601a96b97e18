"""What `ansible-doc` says of a module, which has from a fragment what it shares with others."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = sorted((ROOT / "plugins" / "modules").glob("*.py"))
SHOWING = [path for path in MODULES if "diff=" in path.read_text()]


@pytest.fixture(scope="module")
def documented():
    """What it says of all modules, by name."""
    names = [f"nimctl.multinode.{module.stem}" for module in MODULES]
    said = subprocess.run(
        [Path(sys.executable).with_name("ansible-doc"), "--json", *names],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.rpartition(".")[2]: of["doc"] for name, of in json.loads(said.stdout).items()}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_every_module_says_that_it_knows_check_mode(module, documented):
    said = documented[module.stem]["attributes"]
    assert said["check_mode"]["support"] == "full"
    for mode in ("check_mode", "diff_mode"):
        assert said[mode]["description"]


@pytest.mark.parametrize("module", SHOWING, ids=lambda path: path.stem)
def test_it_says_that_it_shows_differences_where_it_gives_some(module, documented):
    assert documented[module.stem]["attributes"]["diff_mode"]["support"] == "full"


def test_what_a_module_adds_stands_beside_what_is_shared(documented):
    said = documented["rollout"]["attributes"]["check_mode"]
    assert "takes no node out of service" in said["details"]
    assert "changes nothing" in said["description"]
