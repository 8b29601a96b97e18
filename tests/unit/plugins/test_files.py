import getpass
import grp
import os
import stat

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.files import File, Record, reconcile

OWNER = {"owner": getpass.getuser(), "group": grp.getgrgid(os.getgid()).gr_name}


@pytest.fixture
def node(tmp_path):
    return tmp_path / "node"


@pytest.fixture
def put(tmp_path, node):
    def call(files, check=False, owner="role"):
        wanted = [File(str(node / name), text, **OWNER) for name, text in files.items()]
        return reconcile(wanted, Record(owner, "files", tmp_path / "state"), check)

    return call


def names(node):
    return (
        sorted(str(path.relative_to(node)) for path in node.rglob("*") if path.is_file())
        if node.exists()
        else []
    )


def test_files_are_written_and_the_second_time_left_alone(put, node):
    assert put({"a/b/one": "1\n"}).changed == [str(node / "a/b/one")]
    assert (node / "a/b/one").read_text() == "1\n"
    assert put({"a/b/one": "1\n"}).changed == []


def test_check_mode_says_the_same_and_writes_nothing(put, node):
    said = put({"a/one": "1\n"}, check=True)
    assert said.changed == [str(node / "a/one")]
    assert said.diff[0]["after"] == "1\n"
    assert not node.exists()


def test_what_is_no_longer_wanted_goes_with_its_folders(put, node):
    put({"a/b/one": "1\n", "a/two": "2\n"})
    assert put({"a/two": "2\n"}).changed == [str(node / "a/b/one")]
    assert names(node) == ["a/two"]
    assert not (node / "a/b").exists()
    put({})
    assert not node.exists()


def test_folders_and_files_of_others_stay(put, node):
    (node / "a").mkdir(parents=True)
    (node / "a/theirs").write_text("x")
    put({"a/ours": "1\n"})
    put({})
    assert names(node) == ["a/theirs"]
    put({"b/ours": "1\n"})
    (node / "b/theirs").write_text("x")
    put({})
    assert names(node) == ["a/theirs", "b/theirs"]


def test_owners_do_not_see_each_others_files(put, node):
    put({"one": "1\n"}, owner="first")
    put({}, owner="second")
    assert names(node) == ["one"]


def test_a_changed_file_and_a_changed_mode_are_repaired(put, node):
    put({"one": "1\n"})
    (node / "one").write_text("other\n")
    assert put({"one": "1\n"}).diff[0]["before"] == "other\n"
    (node / "one").chmod(0o600)
    assert put({"one": "1\n"}).changed == [str(node / "one")]
    assert stat.S_IMODE((node / "one").stat().st_mode) == 0o644


def test_a_secret_is_in_no_difference(tmp_path, node):
    record = Record("role", "files", tmp_path / "state")
    node.mkdir()
    (node / "key").write_text("old-key")
    outcome = reconcile([File(str(node / "key"), "new-key", mode=0o600, secret=True, **OWNER)], record, False)
    assert "key" not in str([(entry["before"], entry["after"]) for entry in outcome.diff])
    assert stat.S_IMODE((node / "key").stat().st_mode) == 0o600


def test_what_an_interrupted_run_wrote_is_remembered(put, node, tmp_path, monkeypatch):
    from ansible_collections.nimctl.multinode.plugins.module_utils import files

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    put({"one": "1\n"})
    with monkeypatch.context() as patch:
        patch.setattr(files, "apply", fail)
        with pytest.raises(OSError, match="No space"):
            put({"one": "1\n", "two": "2\n"})
    (node / "two").write_text("half")
    put({"one": "1\n"})
    assert names(node) == ["one"]


def test_no_record_is_left_when_nothing_is(put, tmp_path):
    put({"one": "1\n"})
    put({})
    assert names(tmp_path / "state") == []


def test_what_somebody_else_had_there_comes_back_when_ours_goes(put, node):
    node.mkdir()
    theirs = node / "nccl.conf"
    theirs.write_text("NCCL_DEBUG=WARN\n")
    theirs.chmod(0o640)
    put({"nccl.conf": "ours\n"})
    put({"nccl.conf": "ours, changed\n"})
    assert theirs.read_text() == "ours, changed\n"
    assert put({}).diff[0]["after"] == "NCCL_DEBUG=WARN\n"
    assert theirs.read_text() == "NCCL_DEBUG=WARN\n"
    assert stat.S_IMODE(theirs.stat().st_mode) == 0o640
    assert put({}).changed == []


def test_what_was_ours_already_is_not_given_back(put, node):
    put({"a": "1\n"})
    put({"a": "2\n", "b": "1\n"})
    put({"b": "1\n"})
    assert not (node / "a").exists()
