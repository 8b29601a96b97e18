"""A layer that no role looks after yet is told, not passed over."""

from __future__ import annotations

from pathlib import Path

from nimctl.inventory import read
from nimctl.stack.coverage import without_role

ROOT = Path(__file__).parents[3]


def test_a_layer_without_a_role_is_told_where_it_applies(tmp_path):
    placement = read(ROOT / "inventories" / "prod")
    for role in ("node_tuning", "rdma", "nvidia_driver", "nvidia_container_toolkit", "gpu_direct"):
        (tmp_path / "roles" / role / "tasks").mkdir(parents=True)
        (tmp_path / "roles" / role / "tasks" / "main.yml").write_text("[]\n")
    said = without_role(placement, tmp_path)
    assert [note.split()[4] for note in said] == ["fabric_manager", "storage_nfs", "firewall"]
