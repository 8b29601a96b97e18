"""The module that merges into a file, and what an interruption leaves behind."""

import json

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import files
from ansible_collections.nimctl.multinode.plugins.module_utils.parts import json_merge


@pytest.fixture
def merge(tmp_path, monkeypatch):
    """``merge(values)`` runs the module on ``merge.file``."""

    def write(path, text, *_):
        type(tmp_path)(path).parent.mkdir(parents=True, exist_ok=True)
        type(tmp_path)(path).write_text(text)

    monkeypatch.setattr(files.Record.__init__, "__defaults__", (tmp_path / "state",))
    monkeypatch.setattr(files, "write_atomic", write)
    monkeypatch.setattr(json_merge, "write_atomic", write)

    class Module:
        check_mode = False

        def __init__(self, values, comments):
            self.params = {
                "path": str(call.file),
                "owner": "role",
                "values": values,
                "defaults": [],
                "comments": comments,
            }

        def exit_json(self, **result):
            self.result = result

        def fail_json(self, msg):
            raise AssertionError(msg)

    def call(values, comments=False):
        module = Module(values, comments)
        json_merge.work(module)
        return module.result

    call.file = tmp_path / "daemon.json"
    return call


def interrupt(*_):
    raise KeyboardInterrupt


def test_a_run_that_ends_before_the_file_is_written_forgets_nothing(merge, monkeypatch):
    merge.file.write_text('{"data-root": "/big"}')
    merge({"live-restore": True})
    with monkeypatch.context() as patch:
        patch.setattr(json_merge, "write_atomic", interrupt)
        with pytest.raises(KeyboardInterrupt):
            merge({"log-level": "warn"})
    merge({})
    assert json.loads(merge.file.read_text()) == {"data-root": "/big"}


def test_a_run_that_ends_after_the_file_is_written_forgets_nothing(merge, monkeypatch):
    merge.file.write_text('{"data-root": "/big"}')
    write = json_merge.write_atomic

    def write_and_end(*arguments):
        write(*arguments)
        interrupt()

    with monkeypatch.context() as patch:
        patch.setattr(json_merge, "write_atomic", write_and_end)
        with pytest.raises(KeyboardInterrupt):
            merge({"live-restore": True})
    assert json.loads(merge.file.read_text())["live-restore"] is True
    merge({})
    assert json.loads(merge.file.read_text()) == {"data-root": "/big"}


def test_a_file_of_ours_goes_with_our_keys(merge):
    merge({"live-restore": True})
    assert merge({"live-restore": True})["changed"] is False
    merge({})
    assert not merge.file.exists()


CUFILE = """{
    // NOTE: another file can be named by CUFILE_ENV_PATH_JSON
    "logging": { /* where */ "dir": "/var/log//cufile" },
    "properties": { "rdma_dev_addr_list": [ ], "allow_compat_mode": true }
}
"""


def test_a_file_with_comments_is_merged_and_comes_back_with_them(merge):
    merge.file.write_text(CUFILE)
    values = {"properties": {"rdma_dev_addr_list": ["10.1.0.11"]}}
    merge(values, comments=True)
    document = json.loads(merge.file.read_text())
    assert document["properties"] == {"rdma_dev_addr_list": ["10.1.0.11"], "allow_compat_mode": True}
    assert document["logging"] == {"dir": "/var/log//cufile"}
    assert merge(values, comments=True)["changed"] is False
    merge({}, comments=True)
    assert merge.file.read_text() == CUFILE


def test_what_others_changed_meanwhile_is_not_lost_for_the_comments(merge):
    merge.file.write_text(CUFILE)
    merge({"profile": {"nvtx": True}}, comments=True)
    document = json.loads(merge.file.read_text())
    merge.file.write_text(json.dumps({**document, "theirs": 1}))
    merge({}, comments=True)
    assert json.loads(merge.file.read_text())["theirs"] == 1


def test_comments_are_an_error_where_nobody_said_that_there_may_be_some(merge):
    merge.file.write_text(CUFILE)
    with pytest.raises(AssertionError, match="is not valid JSON"):
        merge({"a": 1})
