from __future__ import annotations

import pytest

from nimctl.errors import RejectedError
from nimctl.lab.names import Names, node_names


@pytest.mark.parametrize(
    "name", ["", "Lab", "1lab", "lab-", "-lab", "a b", "a.b", "x" * 33, "lab/../x", "a=b"]
)
def test_a_name_that_containers_cannot_have_is_rejected(name):
    with pytest.raises(RejectedError, match="--name"):
        Names(name)


@pytest.mark.parametrize("name", ["l", "lab", "e2e-0f3a91", "x" * 32])
def test_usual_names_are_accepted(name):
    assert Names(name).label == f"nimctl.lab={name}"


def test_parts_of_two_labs_never_share_a_name():
    def parts(lab):
        names = Names(lab)
        nodes = [names.container(node) for node in node_names(8)]
        volumes = [volume for node in node_names(8) for volume in names.volumes(node).values()]
        return {names.network, names.registry, *nodes, *volumes}

    assert not parts("lab") & parts("lab2")


@pytest.mark.parametrize("count", [0, 9, -1])
def test_the_number_of_nodes_has_limits(count):
    with pytest.raises(RejectedError, match="1 to 8"):
        node_names(count)


def test_nodes_are_counted_from_one():
    assert node_names(3) == ["node1", "node2", "node3"]
