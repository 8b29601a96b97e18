"""What moves the locked versions of the host stack, and what the next run does about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nimctl.lock import read_lock
from nimctl.locking import plan

CLUSTER = """\
plugin: nimctl.multinode.cluster
name: test
STACK
nodes:
  - {hosts: "hgx[1-2]", addresses: "10.0.0.[1-2]", gpu: {model: h100-sxm, count: 8}}
  - {hosts: card, addresses: 10.0.0.3, gpu: {model: l40s, count: 4}}
"""
LOCK = """\
plugin: nimctl.multinode.cluster
version: 1
stack:
  container_toolkit: {version: "1.19.1"}
  driver: {version: "580.126.20"}
"""


@pytest.fixture
def locked(tmp_path: Path):
    def _locked(stack: str = "", lock: str = LOCK) -> Path:
        (tmp_path / "cluster.yml").write_text(
            CLUSTER.replace("STACK", f"stack: {{{stack}}}" if stack else "")
        )
        (tmp_path / "cluster.lock.yml").write_text(lock)
        return tmp_path

    return _locked


def changes(folder: Path, *upgrade: str) -> list[str]:
    return [str(change) for change in plan(folder, None, upgrade=frozenset(upgrade)).changes]


def test_what_is_locked_stays(locked):
    assert changes(locked()) == []
    assert changes(locked("driver: {branch: 580}")) == []
    assert plan(locked(), None).write()
    assert plan(locked(), None).after.stack["driver"] == {"version": "580.126.20"}


def test_an_upgrade_says_from_what_to_what_and_what_that_means(locked):
    assert changes(locked("driver: {branch: 580}"), "driver") == [
        "~ stack driver: 580.126.20 -> 580.178.04\n"
        "    card,hgx[1-2]: drain; the kernel modules of 580.178.04 take the place of those of 580.126.20, "
        "by a reboot where something still holds them (stack.reboot_ok is false: what needs one is listed)\n"
        "    hgx[1-2]: Fabric Manager follows to 580.178.04, in the same step\n"
        "    card,hgx[1-2]: the CDI specification is written anew"
    ]
    found = plan(locked(), None, upgrade=frozenset(["driver"]))
    found.write()
    assert read_lock(found.folder).stack == {
        "container_toolkit": {"version": "1.19.1"},
        "driver": {"version": "580.178.04"},
    }


def test_everything_moves_together_on_demand(locked):
    moved = changes(locked(), "stack")
    assert [line.splitlines()[0] for line in moved] == [
        "~ stack driver: 580.126.20 -> 580.178.04",
        "~ stack container_toolkit: 1.19.1 -> 1.20.0",
    ]


def test_a_new_wish_of_the_description_moves_the_lock(locked):
    assert changes(locked("driver: {version: 580.95.05}"))[0].startswith(
        "~ stack driver: 580.126.20 -> 580.95.05"
    )
    other = changes(locked("driver: {branch: 595}"))[0]
    assert other.startswith("~ stack driver: 580.126.20 -> 595.91.07")
    assert "from branch 580 to 595" in other


def test_without_a_branch_the_locked_branch_stays(locked):
    lock = LOCK.replace("580.126.20", "595.58.03")
    assert changes(locked(lock=lock), "driver")[0].startswith("~ stack driver: 595.58.03 -> 595.91.07")


def test_a_layer_that_is_only_checked_has_no_locked_version(locked):
    assert changes(locked("driver: {mode: verify}")) == ["- stack driver: 580.126.20"]


def test_a_broken_version_is_located(locked):
    with pytest.raises(Exception, match=r"cluster.lock.yml:5:3: stack.driver: expected a mapping with"):
        read_lock(locked(lock=LOCK.replace('{version: "580.126.20"}', "580")))
