from __future__ import annotations

import pytest

from nimctl.lab.containers import Container
from nimctl.lab.inside import SPEC, compare


def container(state: str = "running", spec: str = "same") -> Container:
    return Container("nimctl-lab-node1", state, {SPEC: spec})


def test_a_lab_that_is_as_wanted_needs_nothing():
    changes = compare({"node1": "same", "node2": "same"}, {"node1": container(), "node2": container()})
    assert changes.none
    assert changes.keep == ("node1", "node2")


def test_missing_nodes_are_made_and_surplus_ones_removed():
    changes = compare({"node1": "same", "node3": "same"}, {"node1": container(), "node2": container()})
    assert (changes.keep, changes.make, changes.remove) == (("node1",), ("node3",), ("node2",))


def test_a_stopped_node_is_started_not_made_again():
    changes = compare({"node1": "same"}, {"node1": container("exited")})
    assert (changes.start, changes.replace) == (("node1",), ())


def test_a_node_whose_definition_changed_is_replaced():
    assert compare({"node1": "new"}, {"node1": container()}).replace == ("node1",)


@pytest.mark.parametrize("state", ["created", "configured", "initialized"])
def test_a_node_that_never_started_was_cut_short_and_is_made_again(state):
    changes = compare({"node1": "same"}, {"node1": container(state)})
    assert (changes.replace, changes.start) == (("node1",), ())
    assert not changes.none
