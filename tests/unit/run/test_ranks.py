import dataclasses
import json

import pytest

from nimctl.cli.status import remarks, summary, table
from nimctl.run import ranks
from nimctl.run.ranks import Seen

NOW = 1_000_000.0
DIGEST = "sha256:" + "ab" * 32


def found(target, name, **changes):
    """What the module reports of a rank that does what it should, with changes."""
    rank = next(item for item in target.placement.ranks if item.name == name)
    leader = rank.rank == 0
    entry = {
        "name": name,
        "wanted": True,
        "unit": {"state": "active", "sub": "running", "result": "success", "restarts": 0, "since": NOW - 90},
        "container": {"status": "running", "started": "", "image": "", "digest": DIGEST, "spec": rank.spec},
        "health": {"ok": True, "status": 200, "error": ""} if leader else None,
        "tokens": {"generated": 1042, "prompt": 77} if leader else None,
    }
    return entry | changes


def everything(target, **changed):
    """What all nodes report; ``changed`` gives ranks of the first deployment other reports, by name."""
    seen = {}
    for rank in target.placement.ranks:
        entry = found(target, rank.name, **changed.get(rank.name.replace("-", "_"), {}))
        seen[rank.node] = Seen(rank.node, {rank.name: entry})
    return seen


def unit(**changes):
    return {
        "state": "active",
        "sub": "running",
        "result": "success",
        "restarts": 0,
        "since": NOW - 500,
    } | changes


def test_all_is_well(target):
    statuses = ranks.compare(target, everything(target), NOW)
    assert [(item.name, item.state) for item in statuses] == [
        ("tiny-0-0", "serving"),
        ("tiny-0-1", "running"),
        ("solo-0-0", "serving"),
    ]
    assert statuses[0].generated == 1042
    assert statuses[0].digest == DIGEST
    assert ranks.verdict(statuses)
    assert remarks(target, statuses) == []


BAD = {"ok": False, "status": 503, "error": "HTTP 503"}


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"unit": None, "container": None}, "missing"),
        ({"unit": unit(state="failed", result="exit-code")}, "failed"),
        ({"unit": unit(state="activating", sub="auto-restart", restarts=4)}, "restarting"),
        ({"unit": unit(state="inactive", sub="dead")}, "stopped"),
        ({"unit": unit(state="activating", sub="start-pre")}, "starting"),
        ({"container": None}, "starting"),
        ({"unit": unit(since=NOW - 5), "health": BAD}, "starting"),
        ({"unit": unit(since=NOW - 5000), "health": BAD}, "not ready"),
    ],
)
def test_states_of_a_leader_that_does_not_serve(target, change, state):
    statuses = ranks.compare(target, everything(target, tiny_0_0=change), NOW)
    assert statuses[0].state == state
    assert statuses[0].detail
    assert not ranks.verdict(statuses)


def test_a_worker_that_is_down_means_that_not_all_is_well(target):
    statuses = ranks.compare(target, everything(target, tiny_0_1={"unit": unit(state="failed")}), NOW)
    assert not ranks.verdict(statuses)


def test_an_unreachable_node_and_one_that_was_not_asked(target):
    seen = everything(target)
    seen["node1"] = Seen("node1", {}, "no route to host")
    del seen["node2"]
    statuses = ranks.compare(target, seen, NOW)
    assert [item.state for item in statuses] == ["unreachable", "unreachable", "serving"]
    assert statuses[0].detail == "no route to host"


def test_a_rank_from_an_older_definition_is_outdated(target):
    container = found(target, "tiny-0-1")["container"] | {"spec": "older"}
    statuses = ranks.compare(target, everything(target, tiny_0_1={"container": container}), NOW)
    assert [item.outdated for item in statuses] == [False, True, False]
    assert ranks.verdict(statuses)
    assert "older definition" in remarks(target, statuses)[-1]


def test_what_is_too_much_is_shown_and_breaks_nothing(target):
    seen = everything(target)
    extra = found(target, "tiny-0-0") | {"name": "old-model-0-1", "wanted": False, "health": None}
    seen["node3"] = dataclasses.replace(
        seen["node3"], ranks=dict(seen["node3"].ranks) | {"old-model-0-1": extra}
    )
    statuses = ranks.compare(target, seen, NOW)
    assert (statuses[-1].state, statuses[-1].deployment, statuses[-1].rank) == ("extra", "old-model", 1)
    assert ranks.verdict(statuses)
    assert summary(target, statuses, NOW)["extra"][0]["name"] == "old-model-0-1"


def test_the_json_shape(target):
    shape = summary(target, ranks.compare(target, everything(target), NOW), NOW)
    json.dumps(shape)
    assert list(shape) == ["cluster", "time", "serving", "deployments", "extra", "drained"]
    replica = shape["deployments"][0]["replicas"][0]
    assert replica["url"] == "http://10.89.72.11:8000/v1"
    assert replica["serving"] is True
    assert replica["ranks"][0] == {
        "name": "tiny-0-0",
        "rank": 0,
        "node": "node1",
        "state": "serving",
        "since": "1970-01-12T13:45:10+00:00",
        "seconds": 90,
        "digest": DIGEST,
        "outdated": False,
        "restarts": 0,
        "health": "ready",
        "tokens": {"generated": 1042, "prompt": 77},
        "detail": None,
    }


def test_the_table_names_a_deployment_once_and_has_no_empty_column(target):
    grid = table(ranks.compare(target, everything(target), NOW), NOW)
    headings = [str(column.header) for column in grid.columns]
    assert "RESTARTS" not in headings
    assert headings[:5] == ["DEPLOYMENT", "REPLICA", "RANK", "NODE", "STATE"]
    assert list(grid.columns[0].cells) == ["tiny", "", "solo"]


def test_every_engine_has_a_row_of_metrics():
    rows = ranks.metric_rows()
    assert set(rows) == {"nim", "vllm", "sglang", "rehearsal"}
    for row in rows.values():
        assert row["paths"]
        assert row["generated"]
        assert row["source"]


def test_the_play_asks_all_nodes_with_the_metrics_of_each_deployment(target):
    (play,) = ranks.play(target, {"rehearsal": {"paths": ["/m"]}})
    assert play["hosts"] == "nim_cluster_nodes"
    module = play["tasks"][0]["nimctl.multinode.rank_facts"]
    assert module["metrics"] == {"tiny": {"paths": ["/m"]}, "solo": {"paths": ["/m"]}}


def test_commands_that_are_suggested_name_the_folder(target):
    statuses = ranks.compare(target, everything(target, tiny_0_0={"unit": unit(state="failed")}), NOW)
    assert f"nimctl logs -i {target.folder} --rank tiny-0-0" in statuses[0].detail
    statuses = ranks.compare(target, everything(target, tiny_0_0={"unit": None, "container": None}), NOW)
    assert f"nimctl provision -i {target.folder}" in statuses[0].detail
    statuses = ranks.compare(target, everything(target, tiny_0_0={"unit": unit(state="inactive")}), NOW)
    assert f"nimctl provision -i {target.folder} starts its replica" in statuses[0].detail
