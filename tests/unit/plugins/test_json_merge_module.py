"""The module that merges into a file, and what an interruption leaves behind."""

import json

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import files
from ansible_collections.nimctl.multinode.plugins.modules import json_merge


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

        def __init__(self, values):
            self.params = {"path": str(call.file), "owner": "role", "values": values, "defaults": []}

        def exit_json(self, **result):
            self.result = result

    def call(values):
        module = Module(values)
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
