import subprocess

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import layer
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record


@pytest.fixture(autouse=True)
def _node(monkeypatch, ours, tmp_path):
    monkeypatch.setattr(Record.__init__, "__defaults__", (tmp_path / "state",))


def text(path, content="a\n"):
    return {"managed_files": {"files": [{"path": str(path), "content": content}]}}


def answers(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def have(run_module):
    def call(*parts, check=False):
        return run_module(layer, answers, check=check, owner="clock", parts=list(parts))

    return call


def test_parts_are_done_in_order_and_belong_to_the_owner(have, tmp_path):
    first, second = tmp_path / "one", tmp_path / "two"
    result = have(text(first), {"managed_files": {**text(second)["managed_files"], "owner": "other"}})
    assert result["changed"]
    assert [part["paths"] for part in result["parts"]] == [[str(first)], [str(second)]]
    assert [part["part"] for part in result["parts"]] == ["managed_files", "managed_files"]
    assert len(result["diff"]) == 2
    again = have(text(first), {"managed_files": {**text(second)["managed_files"], "owner": "other"}})
    assert not again["changed"]
    assert again["diff"] == []


def test_check_mode_changes_nothing(have, tmp_path):
    assert have(text(tmp_path / "one"), check=True)["changed"]
    assert not (tmp_path / "one").exists()


def test_a_part_that_fails_ends_it_and_says_what_was_done(have, tmp_path):
    (tmp_path / "broken.json").write_text("{")
    merge = {"json_merge": {"path": str(tmp_path / "broken.json"), "values": {"a": 1}}}
    result = have(text(tmp_path / "one"), merge, text(tmp_path / "two"))
    assert result["failed"]
    assert "is not valid JSON" in result["msg"]
    assert result["changed"]
    assert not (tmp_path / "two").exists()


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"manged_files": {}}, "found 'manged_files', expected one of"),
        ({"managed_files": {"file": []}}, "managed_files: missing required arguments: files"),
        ({"managed_files": {"files": []}, "units": {}}, "expected one name with its arguments"),
    ],
)
def test_a_wrong_part_is_refused_before_the_first_is_done(have, tmp_path, part, says):
    with pytest.raises(NodeError, match=says):
        have(text(tmp_path / "one"), part)
    assert not (tmp_path / "one").exists()


def test_what_waits_is_told_once():
    said = layer.together([{"pending": ["a", "b"]}, {"pending": ["b"], "not_here": ["c"]}])
    assert (said["pending"], said["not_here"]) == (["a", "b"], ["c"])
