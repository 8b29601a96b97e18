"""Plays that work once for the whole cluster work under --limit as well."""

from __future__ import annotations

from nimctl.lock import read_lock


def test_a_limited_run_locks_and_says_what_waits(cluster):
    assert read_lock(cluster.inventory) is None
    cluster.answers["rank_state node2"] = {"pending": ["replica a-0 was left as it is"]}
    done = cluster.play("begin", "deploy", "end", arguments=("--limit", "node2"))
    assert done.code == 0, done.said
    assert set(read_lock(cluster.inventory).placement) == {"a", "b"}
    assert "node2: replica a-0 was left as it is" in done.said
    assert {node for _, node, _ in done.calls} == {"node2"}
    assert [bool(cluster.history(node)) for node in cluster.nodes] == [False, True, False]


def test_check_mode_writes_no_lock(cluster):
    done = cluster.play("begin", "deploy", "end", arguments=("--limit", "node2", "--check"))
    assert done.code == 0, done.said
    assert read_lock(cluster.inventory) is None
    assert cluster.lease("node2") is None
