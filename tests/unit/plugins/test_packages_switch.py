"""Exact versions: one transaction that touches only what was named, or nothing."""

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import dkms
from ansible_collections.nimctl.multinode.plugins.module_utils.packages import policy
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.apt import Apt
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import Change, PackageError
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.dnf import Dnf, transaction
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.switch import (
    check_offered,
    difference,
    switch,
)

MADISON = """ nvidia-open | 580.126.20-1 | http://mirror/ ./ Packages
 nvidia-open | 570.211.01-1 | http://mirror/ ./ Packages
 nvidia-open | 570.211.01-1 | http://other/ ./ Packages
"""


class Node:
    """Answers the first command that has all the words; an answer may be a list, taken in turn."""

    def __init__(self, *answers):
        self.answers = answers
        self.calls = []

    def __call__(self, command, **options):
        self.calls.append(" ".join(command))
        for words, answer in self.answers:
            if all(word in command for word in words.split()):
                return answer.pop(0) if isinstance(answer, list) else answer
        return (0, "", "")

    def ran(self, words):
        return [call for call in self.calls if words in call]


@pytest.fixture(autouse=True)
def policy_layer(tmp_path, monkeypatch):
    monkeypatch.setattr(policy, "POLICY", tmp_path / "policy-rc.d")


def test_what_has_to_change():
    installed = {"a": "1", "b": "1", "old": "1"}
    assert difference(installed, ["a", "b", "c"], {"b": "2"}, ["old", "older"]) == Change(
        {"b": "2", "c": ""}, ("old",)
    )
    assert not difference({"a": "1", "b": "2"}, ["a", "b"], {"b": "2"}, ["old"])


def test_nothing_that_is_wanted_is_replaced():
    assert difference({"a": "1"}, ["a"], {}, ["a"]).remove == ()


def test_all_packages_change_in_one_transaction():
    node = Node()
    Apt(node).apply(Change({"a": "1-1", "b": "1-1"}, ("old",)))
    (call,) = node.ran(" install ")
    assert call.endswith("a=1-1 b=1-1 old-")


def test_a_removal_that_nobody_asked_for_is_refused_before_anything_changes():
    would = "Remv nvidia-smi [550]\nRemv old [1]\nInst nvidia-driver-cuda (580-1 x [amd64])\n"
    node = Node(("--simulate", (0, would, "")))
    with pytest.raises(PackageError, match="would remove nvidia-smi, which nobody asked for"):
        switch(Apt(node), Change({"nvidia-driver-cuda": "580-1"}, ("old",)), [], print)
    assert all("--simulate" in call for call in node.ran(" install "))


def test_a_downgrade_that_nobody_asked_for_is_refused():
    would = "Inst a [2-1] (1-1 x [amd64])\nInst dkms [3.2-1] (3.0-1 x [all])\n"
    node = Node(("--simulate", (0, would, "")), ("--compare-versions", (0, "", "")))
    with pytest.raises(PackageError, match=r"would downgrade dkms \(3.2-1 to 3.0-1\)"):
        Apt(node).simulate(Change({"a": "1-1"}))


def test_a_downgrade_of_what_was_named_is_done():
    node = Node(("--simulate", (0, "Inst a [2-1] (1-1 x [amd64])\n", "")))
    assert Apt(node).simulate(Change({"a": "1-1"})) == []


def test_the_former_versions_come_back_where_the_change_fails():
    broken = (100, "", "E: Sub-process /usr/bin/dpkg returned an error code (1)")
    there = (0, "a\tinstalled\t1-1\nold\tinstalled\t1-1\n", "")
    held = ("showhold", (0, "b\nold\n", ""))
    node = Node(("dpkg-query", there), held, ("--simulate", (0, "", "")), ("install", [broken, (0, "", "")]))
    with pytest.raises(PackageError, match="error code") as caught:
        switch(Apt(node), Change({"a": "2-1", "new": "2-1"}, ("old",)), [], lambda brought: None)
    assert "The former packages were brought back: a 1-1, old 1-1." in str(caught.value)
    assert node.ran(" install ")[-1].endswith("a=1-1 old=1-1 new-")
    assert node.ran("apt-mark hold") == ["apt-mark hold old"], "what went and came back has lost its hold"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """DKMS's tree, with a version of a module whose source is gone, and one that is as it should be."""
    (tmp_path / "usr/src/nvidia-570").mkdir(parents=True)
    for version in ("nvidia/570", "theirs/1"):
        (tmp_path / "dkms" / version).mkdir(parents=True)
        name = version.replace("/", "-")
        (tmp_path / "dkms" / version / "source").symlink_to(tmp_path / "usr/src" / name)
    monkeypatch.setattr(dkms, "TREE", tmp_path / "dkms")
    return tmp_path / "dkms"


def test_what_dkms_keeps_of_a_change_that_failed_goes_as_well(tree):
    def run(command, **options):
        if "install" in command and "a=2-1" in command and "--simulate" not in command:
            (tree / "nvidia/580/6.8").mkdir(parents=True)
            (tree / "nvidia/580/source").symlink_to("/usr/src/nvidia-580")
            (tree / "nvidia/kernel-6.8-x86_64").symlink_to("580/6.8/x86_64")
            return (100, "", "E: Sub-process /usr/bin/dpkg returned an error code (1)")
        return (0, "a\tinstalled\t1-1\n", "") if "dpkg-query" in command else (0, "", "")

    with pytest.raises(PackageError, match="What DKMS had left of nvidia/580 was removed"):
        switch(Apt(run), Change({"a": "2-1"}), [], lambda brought: None)
    left = sorted(str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_symlink())
    assert left == ["nvidia/570/source", "theirs/1/source"], "what was broken before is not ours to take away"


def test_a_change_that_cannot_be_undone_says_so():
    broken = (100, "", "E: disk full")
    there = (0, "a\tinstalled\t1-1\n", "")
    node = Node(("dpkg-query", there), ("--simulate", (0, "", "")), ("install", broken))
    with pytest.raises(PackageError, match=r"could not be brought back \(a 1-1\)"):
        switch(Apt(node), Change({"a": "2-1"}), [], lambda brought: None)


def test_a_version_that_is_not_offered_is_named_with_those_that_are():
    node = Node(("madison", (0, MADISON, "")))
    fetched = []
    with pytest.raises(PackageError, match=r"nvidia-open 590-1 \(offered: 580.126.20-1, 570.211.01-1\)"):
        check_offered(Apt(node), {"nvidia-open": "590-1"}, lambda: fetched.append(1))
    assert fetched == [1]


def test_lists_are_not_fetched_where_they_have_the_version():
    node = Node(("madison", (0, MADISON, "")))
    check_offered(Apt(node), {"nvidia-open": "580.126.20-1"}, pytest.fail)


def test_only_package_files_that_are_missing_are_downloaded():
    uris = "'http://mirror/a.deb' a_1_all.deb 10 SHA256:00\n"
    assert Apt(Node(("--print-uris", (0, uris, "")))).to_download(Change({"a": "1"})) == ["a_1_all.deb"]
    assert Apt(Node(("--print-uris", (0, "", "")))).to_download(Change({"a": "1"})) == []


TABLE = """Dependencies resolved.
================================================================================
 Package      Architecture    Version            Repository                Size
================================================================================
Installing:
 kmod-nvidia-open-dkms
              noarch          3:580.126.20-1.el9 cuda                     6.0 k
Downgrading:
 dkms         noarch          3.0-1              epel                     6.0 k
Removing:
 kmod-nvidia-latest-dkms
              noarch          3:570.211.01-1.el9 @cuda                      0
Removing dependent packages:
 theirs       noarch          1-1                @x                         0

Transaction Summary
================================================================================
Install    1 Package
"""


def test_the_table_of_dnf_is_read():
    assert transaction(TABLE) == {
        "Installing": ["kmod-nvidia-open-dkms"],
        "Downgrading": ["dkms"],
        "Removing": ["kmod-nvidia-latest-dkms", "theirs"],
    }


def test_dnf_refuses_the_same():
    node = Node(("--assumeno", (1, TABLE, "Operation aborted.")))
    change = Change({"kmod-nvidia-open-dkms": "3:580.126.20-1.el9"}, ("kmod-nvidia-latest-dkms",))
    with pytest.raises(PackageError, match="would remove theirs"):
        Dnf(node).simulate(change)
    with pytest.raises(PackageError, match="would downgrade dkms"):
        Dnf(node).simulate(Change(change.install, ("kmod-nvidia-latest-dkms", "theirs")))


def test_dnf_gives_its_reason_where_it_cannot():
    node = Node(("--assumeno", (1, "", "Error: \n Problem: nothing provides dkms")))
    with pytest.raises(PackageError, match="Error"):
        Dnf(node).simulate(Change({"a": "1-1"}))
