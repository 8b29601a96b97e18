"""Playbooks for a part of the road take that part and no more."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    ("playbook", "has", "has_not"),
    [
        (
            "storage",
            {"storage_nfs", "storage_lustre", "storage_local"},
            {"nvidia_driver", "nim_rank", "firewall"},
        ),
        ("hosts", {"storage_nfs", "nvidia_driver", "firewall", "container_engine"}, {"nim_rank"}),
        ("deploy", {"nim_rank"}, {"nvidia_driver", "storage_nfs"}),
    ],
)
def test_a_playbook_has_the_roles_of_its_part(playbook, has, has_not):
    done = subprocess.run(
        [BIN / "ansible-playbook", f"playbooks/{playbook}.yml", "-i", "inventories/mixed", "--list-tasks"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    # `firewall : Remove ...` of nodes that leave is no part of what the playbook is for.
    tasks = re.findall(r"multinode\.(\w+) : (?!Remove)", done.stdout)
    assert has <= set(tasks)
    assert not has_not & set(tasks)
