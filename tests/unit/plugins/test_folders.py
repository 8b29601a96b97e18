"""The module `folders`: makes folders, and takes away only what it made and what is empty."""

import os

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import files
from ansible_collections.nimctl.multinode.plugins.module_utils.parts import folders


@pytest.fixture
def node(tmp_path, monkeypatch, run_module):
    monkeypatch.setattr(files.Record.__init__, "__defaults__", (tmp_path / "state",))
    # Whoever runs the tests may give nothing away.
    monkeypatch.setattr(os, "chown", lambda path, uid, gid: None)
    owner = tmp_path.stat().st_uid

    def call(*names, check=False):
        wanted = [
            {"path": str(tmp_path / name), "uid": owner, "mode": "0755", "mount_point": False}
            for name in names
        ]
        return run_module(folders, None, check, owner="storage_local", folders=wanted)

    call.folder = tmp_path
    return call


def test_a_folder_is_made_once_and_goes_with_its_parents(node):
    assert node("srv/models", check=True)["changed"]
    assert not (node.folder / "srv").exists()
    assert node("srv/models")["paths"] == [f"{node.folder}/srv/models"]
    assert not node("srv/models")["changed"]
    assert node()["paths"] == [f"{node.folder}/srv/models", f"{node.folder}/srv"]
    assert not (node.folder / "srv").exists()


def test_data_stays(node):
    node("srv/models")
    (node.folder / "srv/models/weights").write_text("valuable")
    assert not node()["changed"]
    assert (node.folder / "srv/models/weights").read_text() == "valuable"


def test_a_folder_of_somebody_else_keeps_its_mode_and_stays(node):
    theirs = node.folder / "models"
    theirs.mkdir(mode=0o700)
    assert not node("models")["changed"]
    assert theirs.stat().st_mode & 0o777 == 0o700
    node()
    assert theirs.is_dir()


def test_a_folder_of_ours_gets_its_mode_back(node):
    node("models")
    (node.folder / "models").chmod(0o700)
    assert node("models")["changed"]
    assert (node.folder / "models").stat().st_mode & 0o777 == 0o755


def test_an_interrupted_run_forgets_nothing(node, monkeypatch):
    def full(path, uid, gid):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "chown", full)
        with pytest.raises(OSError, match="No space left"):
            node("srv/models")
    assert node()["paths"] == [f"{node.folder}/srv/models", f"{node.folder}/srv"]
