"""Folders that somebody asks about."""

from ansible_collections.nimctl.multinode.plugins.module_utils.host import folders
from ansible_collections.nimctl.multinode.plugins.module_utils.host.probe import probe
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree


def test_those_that_are_there_are_found_with_their_room(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "file").write_text("")
    found = folders.read(Tree(str(tmp_path)), ["/models", "/file", "/gone"])
    assert list(found) == ["/models"]
    assert found["/models"]["free_mib"] >= 0


def test_one_on_a_mount_that_does_not_answer_is_not_touched(tmp_path):
    (tmp_path / "models").mkdir()
    assert folders.read(Tree(str(tmp_path), unanswering=("/models",)), ["/models"]) == {}


def test_the_probe_looks_where_it_is_told(tmp_path):
    (tmp_path / "models").mkdir()
    assert list(probe(str(tmp_path), str(tmp_path), ["/models"])["folders"]) == ["/models"]
    assert probe(str(tmp_path), str(tmp_path))["folders"] == {}
