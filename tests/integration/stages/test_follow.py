"""Whom the firewall lets in follows the nodes of the cluster, on every node."""

from __future__ import annotations

import pytest


@pytest.fixture
def leaving(cluster):
    """The cluster, which node3 leaves: it has no rank any more."""
    file = cluster.inventory / "cluster.yml"
    text = file.read_text().replace("gpu: {count: 0}}", 'gpu: {count: 0}, absent: "node3"}')
    kept = [line for line in text.splitlines() if "hosts: node3}" not in line]
    file.write_text("\n".join(kept) + "\n")
    return cluster


def test_nodes_that_a_limit_leaves_out_follow(cluster):
    done = cluster.play("follow", arguments=("--limit", "node3"))
    assert done.code == 0, done.said
    assert done.calls == [("firewall", "node1", "follows"), ("firewall", "node2", "follows")]


def test_without_a_limit_every_node_is_reached_by_its_own_run(cluster):
    done = cluster.play("follow")
    assert done.code == 0, done.said
    assert done.calls == []
    assert "skipped=1" not in done.said


def test_others_follow_where_the_node_that_leaves_is_all_of_the_limit(leaving):
    leaving.unreachable("node3")
    waits = "the firewall of node2 does not know the present nodes yet"
    leaving.answers["firewall node2"] = {"pending": [waits]}
    done = leaving.play("follow", "end", arguments=("--limit", "node3"))
    assert {node for name, node, _ in done.calls if name == "firewall"} == {"node1", "node2"}
    assert f"node3: {waits}" in done.said


def test_a_node_that_leaves_loses_its_firewall(leaving):
    done = leaving.play("deploy")
    assert done.code == 0, done.said
    assert ("firewall", "node3", "absent") in done.calls
    assert done.nodes("firewall") == {"node3"}
    # In this order: ranks first, since the firewall guards them.
    assert done.calls.index(("ranks", "node3", "")) < done.calls.index(("firewall", "node3", "absent"))
