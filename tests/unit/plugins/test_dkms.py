"""Whether a module builds is found out without touching what is installed."""

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import dkms
from ansible_collections.nimctl.multinode.plugins.module_utils.dkms import trial
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError

CONF = 'PACKAGE_NAME="nvidia"\nPACKAGE_VERSION="580.1"\n'
LOG = "make: Entering\nnv.c:1: error: implicit declaration of function follow_pfn\nmake: done\n"


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node whose package manager unpacks a source tree; ``fails`` makes its build fail."""
    monkeypatch.setattr(dkms.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "apt-get" else None)
    monkeypatch.setattr(dkms, "ARCHIVES", tmp_path / "archives")

    class Node:
        fails = conf = False
        folder = tmp_path / "trial"
        calls = ()

        def __call__(self, command, cwd=None):
            self.calls = (*self.calls, " ".join(command))
            if command[:2] == ["apt-get", "--quiet=2"]:
                (self.folder / f"{command[-1].split('=')[0]}_1_amd64.deb").touch()
            if command[0] == "dpkg-deb" and not self.conf:
                source = self.folder / "usr/src/nvidia-580.1"
                source.mkdir(parents=True)
                (source / "dkms.conf").write_text(CONF)
            if command[:2] == ["dkms", "build"] and self.fails:
                place = self.folder / "tree/nvidia/580.1/build"
                place.mkdir(parents=True)
                (place / "make.log").write_text(LOG)
                return (10, "", "Error! Bad return status for module build")
            return (0, "", "")

    found = Node()
    found.folder.mkdir()
    return found


def test_it_is_built_for_one_kernel_in_a_tree_of_its_own(node):
    trial(node, {"nvidia-kernel-open-dkms": "580.1-1"}, "6.8.0-85-generic", node.folder)
    built = node.calls[-1]
    assert f"--dkmstree {node.folder}/tree --sourcetree {node.folder}/usr/src" in built
    assert built.endswith("-m nvidia -v 580.1 -k 6.8.0-85-generic")


def test_what_was_downloaded_is_not_fetched_again(node):
    dkms.ARCHIVES.mkdir()
    (dkms.ARCHIVES / "nvidia-kernel-open-dkms_1%3a580.1-1_amd64.deb").touch()
    trial(node, {"nvidia-kernel-open-dkms": "1:580.1-1"}, "6.8", node.folder)
    assert not any(call.startswith("apt-get") for call in node.calls)


def test_the_compilers_words_are_told(node):
    node.fails = True
    with pytest.raises(NodeError, match=r"do not build for the running kernel 6.8") as caught:
        trial(node, {"nvidia-kernel-open-dkms": "580.1-1"}, "6.8", node.folder)
    assert "error: implicit declaration of function follow_pfn" in str(caught.value)
    assert "Entering" not in str(caught.value)


def test_packages_without_a_source_are_an_error(node):
    node.conf = True
    with pytest.raises(NodeError, match=r"have no dkms.conf"):
        trial(node, {"libcuda1": "580.1-1"}, "6.8", node.folder)
