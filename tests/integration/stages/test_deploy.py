"""What a run does to ranks when something fails on a node."""

from __future__ import annotations


def test_the_steps_are_taken_over_all_nodes_one_after_the_other(cluster):
    done = cluster.play("deploy")
    assert done.code == 0, done.said
    steps = list(dict.fromkeys((name, state) for name, _, state in done.calls))
    assert steps == [
        ("image_pull", ""),
        ("ranks", ""),
        ("rank_state", "stopped"),
        ("rank_state", "started"),
        ("rank_health", ""),
    ]
    assert done.nodes("image_pull") == done.nodes("ranks") == set(cluster.nodes)


def test_an_image_that_one_node_cannot_have_leaves_every_replica_as_it_is(cluster):
    cluster.answers["image_pull node3"] = {"failed": True, "msg": "reg:5000/r could not be pulled"}
    done = cluster.play("deploy")
    assert done.code != 0
    assert "could not be pulled" in done.said
    assert {name for name, _, _ in done.calls} == {"image_pull"}


def test_a_node_that_is_down_holds_no_other_up(cluster):
    cluster.answers["image_pull node3"] = {"unreachable": True, "msg": "no route to host"}
    done = cluster.play("deploy")
    assert done.nodes("ranks") == {"node1", "node2"}
