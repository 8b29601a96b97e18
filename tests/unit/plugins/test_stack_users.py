"""What others use is not removed under them."""

import json
from functools import partial

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.modules import stack_users

NVRM = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.126.20  Release Build  (x)\n"


@pytest.fixture
def node(tmp_path, monkeypatch, run_module):
    """A machine with a loaded driver that was installed for the cluster."""
    monkeypatch.setattr(stack_users, "UNITS", tmp_path / "units")
    monkeypatch.setattr(stack_users, "container", lambda: "")
    monkeypatch.setattr(stack_users, "Record", partial(Record, state=tmp_path / "state"))
    for folder in ("units", "state/packages", "proc/driver/nvidia"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text(NVRM)
    (tmp_path / "state/packages/nvidia_driver.json").write_text(json.dumps({"names": ["nvidia-driver-cuda"]}))

    class Node:
        root = tmp_path

        def opens(self, pid, name):
            (tmp_path / f"proc/{pid}/fd").mkdir(parents=True)
            (tmp_path / f"proc/{pid}/comm").write_text(name + "\n")
            (tmp_path / f"proc/{pid}/fd/3").symlink_to("/dev/nvidia0")

        def look(self):
            return run_module(stack_users, lambda command: (0, "", ""), kernel=str(tmp_path))

    return Node()


def test_what_is_loaded_stays_until_the_next_boot(node):
    node.opens(78, "nvidia-persiste")
    done = node.look()
    assert done["users"] == []
    assert done["pending"] == [
        "reboot: the driver 580.126.20 is removed, and its modules are loaded until the next boot"
    ]


def test_programs_and_ranks_of_others_are_named(node):
    node.opens(77, "python3")
    (node.root / "units/nim-other-r1-0-0.service").touch()
    done = node.look()
    assert done["users"] == ["python3 (77)", "nim-other-r1-0-0.service"]
    assert "others use this node: python3 (77), nim-other-r1-0-0.service" in done["pending"][0]


def test_a_driver_of_somebody_else_is_not_said_to_go(node):
    (node.root / "state/packages/nvidia_driver.json").unlink()
    assert node.look()["pending"] == []


def test_no_reboot_is_due_in_a_container(node, monkeypatch):
    monkeypatch.setattr(stack_users, "container", lambda: "podman")
    assert node.look()["pending"] == []
