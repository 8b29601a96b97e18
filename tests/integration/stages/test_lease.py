"""Who may change a cluster, through the playbooks that take, renew and give back its lease."""

from __future__ import annotations

import time

import pytest


def leases(cluster):
    return {node: lease["owner"] for node in cluster.nodes if (lease := cluster.lease(node))}


def test_a_run_gives_back_what_it_took(cluster):
    done = cluster.play("begin", "end")
    assert done.code == 0, done.said
    assert leases(cluster) == {}
    assert [len(cluster.history(node)) for node in cluster.nodes] == [1, 1, 1]


@pytest.mark.parametrize("taken", ["node1", "node3"])
def test_a_run_that_is_refused_gives_back_what_it_took(cluster, taken):
    cluster.held(taken)
    done = cluster.play("begin", "deploy")
    assert done.code != 0
    assert "eve@other since 10 min" in " ".join(done.said.split())
    assert "nimctl_break_lease=eve-1" in done.said
    assert leases(cluster) == {taken: "eve@other"}
    assert done.calls == []
    assert all(cluster.history(node) == [] for node in cluster.nodes)


def test_a_lease_is_broken_by_its_name(cluster):
    cluster.held("node2")
    done = cluster.play("begin", "end", arguments=("-e", "nimctl_break_lease=eve-1"))
    assert done.code == 0, done.said


def test_a_run_that_died_holds_others_up_for_two_hours_at_most(cluster):
    assert cluster.play("begin").code == 0
    assert 1.9 < (cluster.lease("node1")["expires"] - time.time()) / 3600 <= 2


def test_a_lease_that_has_ended_stands_in_nobodys_way(cluster):
    cluster.held("node1", left=-1)
    assert cluster.play("begin", "end").code == 0


def test_a_long_run_renews_its_lease_before_it_defines_ranks(cluster):
    begun = cluster.play("begin")
    assert begun.code == 0, begun.said
    # The lease of another run that came after this one's had ended.
    cluster.held("node2", run="eve-2")
    done = cluster.play("deploy")
    assert "eve@other" in done.said
    assert done.nodes("ranks") == set()


def test_a_first_node_that_is_down_holds_nobody_up(cluster):
    cluster.unreachable("node1")
    done = cluster.play("begin", "deploy")
    assert done.nodes("ranks") == {"node2", "node3"}, done.said
    assert set(leases(cluster)) == {"node2", "node3"}


def test_a_refused_run_does_not_mind_a_first_node_that_is_down(cluster):
    cluster.unreachable("node1")
    cluster.held("node3")
    done = cluster.play("begin", "deploy")
    assert done.calls == []
    assert leases(cluster) == {"node3": "eve@other"}, done.said


def test_check_mode_looks_on_while_somebody_else_works(cluster):
    cluster.held("node2")
    done = cluster.play("begin", arguments=("--check",))
    assert done.code == 0, done.said
    assert "eve@other" in done.said


BATCH = """
- hosts: node3
  gather_facts: false
  tasks:
    - include_tasks: {stages}/rollout_change.yml
      vars: {{nimctl_rollout_tasks: {stages}/keep.yml}}
"""


def test_a_batch_of_a_rollout_renews_the_lease_of_its_nodes(cluster):
    cluster.held("node3", left=-1)
    done = cluster.run(BATCH.format(stages=cluster.stages))
    assert done.code == 0, done.said
    assert 1.9 < (cluster.lease("node3")["expires"] - time.time()) / 3600 <= 2
    assert "rank_state" in {name for name, _, _ in done.calls}


def test_a_batch_does_not_begin_on_a_node_that_another_run_has_come_to_hold(cluster):
    cluster.held("node3")
    done = cluster.run(BATCH.format(stages=cluster.stages))
    assert "eve@other" in done.said
    assert done.calls == []
