import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.kernel_modules import Kernel, settle, texts


class Modprobe:
    """A modprobe that knows some modules and changes /proc/modules of a root."""

    def __init__(self, root, known, busy=()):
        self.file, self.known, self.busy = root / "proc/modules", known, busy
        self.calls = []

    def __call__(self, command):
        self.calls.append(" ".join(command))
        lines = self.file.read_text().splitlines()
        name = command[-1]
        if "--remove" in command:
            if name in self.busy:
                return 1, "", ""
            lines = [line for line in lines if line.split()[0] != name]
        elif name not in self.known:
            return 1, "", f"modprobe: FATAL: Module {name} not found in directory /lib/modules/6.12.0"
        else:
            lines.append(f"{name} 16384 0 - Live 0x0")
        self.file.write_text("".join(f"{line}\n" for line in lines))
        return 0, "", ""


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "proc/sys/kernel").mkdir(parents=True)
    (root / "proc/sys/kernel/osrelease").write_text("6.12.0\n")
    (root / "proc/modules").write_text("ib_core 450560 1 mlx5_ib, Live 0x0\n")
    (root / "lib/modules/6.12.0").mkdir(parents=True)
    (root / "lib/modules/6.12.0/modules.builtin").write_text("kernel/drivers/foo/foo-bar.ko.zst\n")
    return root


@pytest.fixture
def modprobe(root):
    return Modprobe(root, {"ib_uverbs", "rdma_ucm"})


@pytest.fixture
def have(root, modprobe, tmp_path):
    def call(*load, now=True, check=False):
        return settle(Kernel(modprobe, root), Record("rdma", "modules", tmp_path / "state"), load, now, check)

    return call


def test_only_what_is_missing_is_loaded(have, modprobe):
    assert have("ib_core", "foo_bar", "ib-uverbs", check=True) == ["ib-uverbs"]
    assert modprobe.calls == []
    assert have("ib_core", "foo_bar", "ib_uverbs") == ["ib_uverbs"]
    assert modprobe.calls == ["modprobe ib_uverbs"]
    assert have("ib_core", "foo_bar", "ib_uverbs") == []


def test_a_module_may_wait_for_the_next_boot(have, modprobe):
    assert have("rdma_ucm", now=False) == ["rdma_ucm"]
    assert modprobe.calls == []


def test_a_module_that_cannot_be_loaded_is_named_with_its_kernel(have):
    with pytest.raises(NodeError, match=r"nvidia_peermem .* kernel 6\.12\.0: .*not found"):
        have("nvidia_peermem")


def test_what_was_loaded_here_goes_and_what_was_there_before_stays(have, modprobe):
    have("ib_core", "ib_uverbs", "rdma_ucm")
    modprobe.calls.clear()
    have()
    assert modprobe.calls == ["modprobe --remove --quiet rdma_ucm", "modprobe --remove --quiet ib_uverbs"]
    assert have("ib_core") == []


def test_what_an_interrupted_run_has_loaded_is_remembered(have, modprobe):
    with pytest.raises(NodeError):
        have("ib_uverbs", "unknown")
    have()
    assert "modprobe --remove --quiet ib_uverbs" in modprobe.calls


def test_the_files_say_it_to_the_next_boot(tmp_path):
    found = texts("rdma", ["ib_uverbs"], ["nouveau"], {"nouveau": {"modeset": 0}, "x": {}}, tmp_path)
    load, probe = found
    assert load.endswith("modules-load.d/50-nimctl-rdma.conf")
    assert found[load].splitlines()[1:] == ["ib_uverbs"]
    assert probe.endswith("modprobe.d/50-nimctl-rdma.conf")
    assert found[probe].splitlines()[1:] == ["blacklist nouveau", "options nouveau modeset=0"]
    assert texts("rdma", [], [], {}, tmp_path) == {}


def test_what_the_running_kernel_has_otherwise_waits(root, modprobe):
    parameters = root / "sys/module/nvidia_drm/parameters"
    parameters.mkdir(parents=True)
    (parameters / "modeset").write_text("N\n")
    (root / "sys/module/nouveau").mkdir()
    (root / "sys/module/nouveau/refcnt").write_text("0\n")
    kernel = Kernel(modprobe, root)
    assert kernel.waits_for_boot([], {"nvidia-drm": {"modeset": False}}) == []
    (waiting,) = kernel.waits_for_boot([], {"nvidia-drm": {"modeset": True}})
    assert "modeset=N; modeset=1" in waiting
    (waiting,) = kernel.waits_for_boot(["nouveau", "other"], {})
    assert "nouveau is loaded" in waiting
