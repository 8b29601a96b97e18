import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import journal, show

OUT = "Id=a.service\nActiveState=active\n\nId=b.service\nActiveState=inactive\n"


def test_each_unit_gets_its_own_properties():
    found = show(lambda command: (0, OUT, ""), ["a.service", "b.service"], ["ActiveState"])
    assert {name: state["ActiveState"] for name, state in found.items()} == {
        "a.service": "active",
        "b.service": "inactive",
    }


def test_a_property_that_systemd_does_not_know_is_empty():
    assert show(lambda command: (0, OUT, ""), ["a.service"], ["NRestarts"])["a.service"]["NRestarts"] == ""


def test_no_unit_needs_no_call():
    assert show(lambda command: pytest.fail("called"), [], ["ActiveState"]) == {}


def test_a_systemd_that_does_not_answer_is_an_error():
    with pytest.raises(NodeError, match="Failed to connect to bus"):
        show(
            lambda command: (1, "", "Failed to connect to bus: No such file"), ["a.service"], ["ActiveState"]
        )


def test_the_log_of_a_rank_is_without_the_engines_own_messages():
    called = []
    assert journal(lambda command: called.append(command) or (0, "one\ntwo\n", ""), "nim-r1-0-0.service") == [
        "one",
        "two",
    ]
    assert "--identifier=nim-r1-0-0" in called[0]
