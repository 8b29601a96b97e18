"""The loaded driver is replaced only where nobody uses it."""

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.nvidia_module import loaded, replace

TEXT = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (x)\n"


@pytest.fixture
def node(tmp_path):
    """A kernel with a driver, and systemctl and modprobe for it."""

    class Node:
        kernel = tmp_path
        held = ""
        on_disk = "580.1"

        def __init__(self):
            self.calls = []
            self.load("570.1")

        def load(self, version):
            (tmp_path / "proc/driver/nvidia").mkdir(parents=True, exist_ok=True)
            (tmp_path / "proc/driver/nvidia/version").write_text(TEXT.format(version))
            (tmp_path / "sys/module/nvidia").mkdir(parents=True, exist_ok=True)

        def opens(self, pid, name):
            (tmp_path / f"proc/{pid}/fd").mkdir(parents=True)
            (tmp_path / f"proc/{pid}/comm").write_text(name + "\n")
            (tmp_path / f"proc/{pid}/fd/3").symlink_to("/dev/nvidia0")

        def __call__(self, command):
            self.calls.append(" ".join(command))
            if "list-units" in command:
                return (0, "nvidia-persistenced.service loaded active running x\n", "")
            if command[:2] == ["modprobe", "--remove"] and command[2] == self.held:
                return (1, "", f"modprobe: FATAL: Module {self.held} is in use.")
            if command == ["modprobe", "nvidia"]:
                self.load(self.on_disk)
            return (0, "", "")

    return Node()


def test_the_modules_on_disk_take_the_place_of_the_loaded_ones(node):
    assert replace(node, "580.1", node.kernel) == ""
    assert loaded(node.kernel) == "580.1"
    orders = [call for call in node.calls if "list-units" not in call]
    assert orders == [
        "systemctl stop nvidia-persistenced.service",
        "modprobe --remove nvidia",
        "modprobe nvidia",
        "modprobe nvidia_uvm",
        "systemctl start nvidia-persistenced.service",
    ]


def test_a_program_that_has_a_gpu_open_is_named_and_left_alone(node):
    node.opens(77, "python3")
    node.opens(78, "nvidia-persiste")
    assert replace(node, "580.1", node.kernel) == "these programs have the GPUs open: python3 (77)"
    assert not any("--remove" in call for call in node.calls)
    assert node.calls[-1] == "systemctl start nvidia-persistenced.service"


def test_a_module_that_is_in_use_needs_a_reboot(node):
    node.held, node.on_disk = "nvidia", "570.1"
    assert "nvidia cannot be unloaded" in replace(node, "580.1", node.kernel)
    assert node.calls[-1] == "systemctl start nvidia-persistenced.service"


def test_another_version_than_the_wanted_one_is_said(node):
    node.on_disk = "575.1"
    assert replace(node, "580.1", node.kernel) == "575.1 is loaded after the change"


def test_no_driver_is_loaded(tmp_path):
    assert loaded(tmp_path) == ""
