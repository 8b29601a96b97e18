"""The module `lustre_striping` with a stand-in for lfs."""

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.modules import lustre_striping


@pytest.fixture
def node(tmp_path, monkeypatch, run_module):
    table = tmp_path / "mountinfo"
    monkeypatch.setattr(lustre_striping, "MOUNTINFO", table)
    monkeypatch.setattr(lustre_striping, "container", lambda: call.container)
    (tmp_path / "models").mkdir()

    def run(command):
        if "stat" in command:
            return call.status, "", ""
        if "getstripe" in command:
            return call.status, f"{call.count}\n", "no such device"
        call.count = command[command.index("-c") + 1]
        return 0, "", ""

    def call(count=-1, check=False, folder="models", kind="lustre"):
        table.write_text(f"44 28 0:47 / {tmp_path} rw - {kind} 10.0.0.5@o2ib:/fs rw,flock\n")
        entry = {"mount": str(tmp_path), "folder": folder, "count": count}
        return run_module(lustre_striping, run, check, folders=[entry])

    call.count, call.status, call.container = "1", 0, ""
    return call


def setstripes(result):
    return [command for command in result["commands"] if "setstripe" in command]


def test_it_is_set_once(node):
    foreseen = node(check=True)
    assert (foreseen["changed"], setstripes(foreseen)) == (True, [])
    assert len(setstripes(node())) == 1
    again = node()
    assert (again["changed"], setstripes(again)) == (False, [])


@pytest.mark.parametrize(
    ("given", "why"), [({"folder": "other"}, "does not exist"), ({"kind": "ext4"}, "no Lustre")]
)
def test_no_other_folder_is_touched(node, given, why):
    result = node(**given)
    assert (result["changed"], setstripes(result), why in result["not_here"][0]) == (False, [], True)


def test_in_a_container_nothing_is_asked(node):
    node.container = "podman"
    result = node()
    assert (result["commands"], "container" in result["not_here"][0]) == ([], True)


def test_a_file_system_that_does_not_answer_is_told(node):
    node.status = 124
    with pytest.raises(NodeError, match="does not answer"):
        node()
