from nimctl.run.difference import Collector, diff_text, what
from nimctl.run.events import Event

RANKS, STATE = "nimctl.multinode.ranks", "nimctl.multinode.rank_state"


def ok(host, action="m", task="Do", **result):
    return Event("ok", play="Deploy", task=task, host=host, action=action, result={"changed": False} | result)


def collect(*events, nodes=("node1", "node2")):
    collector = Collector(nodes)
    for event in events:
        collector.listen(event)
    return {node.node: node for node in collector.differences()}


def reported(host, name, reason):
    return ok(host, RANKS, ranks={name: {"replica": "r-0", "reason": reason}})


def test_no_difference():
    found = collect(reported("node1", "r-0-0", ""), ok("node2"))
    assert not any(node.differs for node in found.values())
    assert found["node1"].cost == "none"


def test_a_reason_at_one_rank_restarts_its_replica():
    found = collect(
        reported("node1", "r-0-0", ""),
        reported("node2", "r-0-1", "its definition changed"),
        ok("node1", STATE, changed=True, names=["r-0-0"]),
        ok("node2", STATE, changed=True, names=["r-0-1"]),
        ok("node1", STATE, changed=True, names=["r-0-0"]),
    )
    (first,), (second,) = found["node1"].ranks, found["node2"].ranks
    assert (first.name, first.action, first.reason) == ("r-0-0", "restart", "r-0-1: its definition changed")
    assert (second.action, second.reason) == ("restart", "its definition changed")
    assert found["node1"].cost == "restart"
    assert found["node1"].changes == []


def test_a_rank_that_does_not_run_is_started_and_costs_nothing():
    found = collect(
        reported("node1", "r-0-0", "it does not run"), ok("node1", STATE, changed=True, names=["r-0-0"])
    )
    assert found["node1"].ranks[0].action == "start"
    assert found["node1"].cost == "none"
    assert found["node1"].differs


def test_a_rank_that_is_no_longer_wanted_is_removed():
    found = collect(ok("node2", RANKS, changed=True, ranks={}, removed=["old-0-0"]))
    assert [(rank.name, rank.replica, rank.action) for rank in found["node2"].ranks] == [
        ("old-0-0", "old-0", "remove")
    ]
    assert found["node2"].cost == "restart"


def test_changes_name_things_and_carry_their_text():
    diff = [{"before": "a\n", "after": "b\n", "before_header": "/etc/x", "after_header": "/etc/x"}]
    found = collect(ok("node1", changed=True, task="Write", paths=["/etc/x"], diff=diff))
    (change,) = found["node1"].changes
    assert (change.stage, change.task, change.what) == ("Deploy", "Write", ("/etc/x",))
    assert "-a\n+b" in change.diff


def test_the_controller_is_no_node():
    assert "localhost" not in collect(ok("localhost", changed=True))


def test_what_modules_say():
    assert what({"names": ["podman", "runc"]}) == ("podman", "runc")
    assert what({"dest": "/etc/x"}) == ("/etc/x",)
    assert what({"rc": 0}) == ()
    assert diff_text({"diff": {"prepared": "+x\n"}}) == "+x"
    assert diff_text({}) == ""
