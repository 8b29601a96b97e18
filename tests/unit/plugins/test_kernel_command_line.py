import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.kernel_command_line import (
    by_grubby,
    by_update_grub,
    here,
)

pytestmark = pytest.mark.usefixtures("ours")


class Grub:
    """An update-grub that takes the drop-in over into grub.cfg."""

    def __init__(self, root):
        self.root, self.calls, self.works = root, [], True
        (root / "boot/grub").mkdir(parents=True)
        self()

    def __call__(self, command=("update-grub",)):
        self.calls.append(" ".join(command))
        drop_ins = sorted((self.root / "etc/default/grub.d").glob("*.cfg"))
        words = "".join(
            path.read_text().partition("$GRUB_CMDLINE_LINUX ")[2].rstrip('"\n') for path in drop_ins
        )
        if self.works:
            (self.root / "boot/grub/grub.cfg").write_text(f"linux /vmlinuz root=/dev/sda ro {words}\n")
        return (0, "", "") if self.works else (1, "", "no space left")


class Grubby:
    """A grubby with one kernel."""

    def __init__(self, arguments):
        self.arguments, self.calls = list(arguments), []

    def __call__(self, command):
        option, _, value = command[-1].partition("=")
        if option == "--args":
            self.arguments += value.split()
        elif option == "--remove-args":
            self.arguments = [each for each in self.arguments if each not in value.split()]
        self.calls += [command[-1]] if option != "--info" else []
        return 0, f'index=0\nargs="{" ".join(self.arguments)}"\n', ""


@pytest.fixture
def grub(tmp_path):
    return Grub(tmp_path / "root")


@pytest.fixture
def have(grub, tmp_path):
    def call(*arguments, check=False, act=True):
        record = Record("tuning", "boot", tmp_path / "state")
        grub.calls.clear()
        return by_update_grub(grub, record, "tuning", arguments, check, act, grub.root).changed

    return call


def test_an_argument_is_added_once(have, grub):
    assert have("iommu=pt", check=True)
    assert grub.calls == []
    assert have("iommu=pt")
    assert "iommu=pt" in (grub.root / "boot/grub/grub.cfg").read_text()
    assert not have("iommu=pt")
    assert grub.calls == []


def test_what_was_interrupted_before_update_grub_is_finished(have, grub):
    grub.works = False
    with pytest.raises(NodeError, match="no space left"):
        have("iommu=pt")
    grub.works = True
    assert have("iommu=pt")
    assert not have("iommu=pt")


def test_an_argument_goes_again(have, grub):
    have("iommu=pt")
    assert have()
    assert "iommu=pt" not in (grub.root / "boot/grub/grub.cfg").read_text()
    assert not list((grub.root / "etc/default/grub.d").glob("*")) if (grub.root / "etc").exists() else True


def test_a_container_gets_the_file_alone(have, grub):
    assert have("iommu=pt", act=False)
    assert grub.calls == []


def test_grubby_takes_off_only_what_was_added_here(tmp_path):
    grubby = Grubby(["ro", "intel_iommu=on"])

    def have(*arguments, check=False):
        return by_grubby(grubby, Record("tuning", "boot", tmp_path), arguments, check).changed

    assert have("iommu=pt", "intel_iommu=on", check=True)
    assert grubby.calls == []
    have("iommu=pt", "intel_iommu=on")
    assert grubby.calls == ["--args=iommu=pt"]
    assert not have("iommu=pt", "intel_iommu=on")
    have()
    assert grubby.arguments == ["ro", "intel_iommu=on"]


def test_what_the_running_kernel_lacks(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cmdline").write_text("root=/dev/sda iommu=pt\n")
    assert here(["iommu=pt", "iommu=p"], tmp_path) == ["iommu=p"]
