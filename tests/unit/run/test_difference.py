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


PLAN = "nimctl.multinode.stack_plan"


def planned(host, **layers):
    plans = {
        layer: {"version": "", "will": will, "cost": cost, "pending": pending, "notes": []}
        for layer, (cost, will, pending) in layers.items()
    }
    return ok(host, PLAN, plans=plans, refused=[])


def test_a_layer_of_the_stack_costs_what_its_plan_says():
    found = collect(
        planned(
            "node1",
            tuning=("none", ["raise net.core.rmem_max"], []),
            driver=("reboot", ["install 580.178.04"], ["a reboot"]),
            nccl=("none", [], []),
        ),
        planned("node2", container_toolkit=("restart", ["enable CDI"], [])),
    )
    assert [layer.layer for layer in found["node1"].layers] == ["tuning", "driver"]
    assert found["node1"].cost == "reboot"
    assert found["node1"].layers[1].pending == ("a reboot",)
    assert found["node2"].cost == "restart"


def test_a_stack_that_is_as_wanted_is_no_difference():
    found = collect(planned("node1", driver=("none", [], [])))
    assert not found["node1"].differs
    assert found["node1"].cost == "none"


def test_the_plan_of_a_role_does_not_take_the_place_of_that_of_the_node():
    found = collect(
        planned("node1", driver=("drain", ["install 580.178.04"], [])),
        ok("node1", PLAN, plan={}, will=[], cost="none", pending=[]),
    )
    assert found["node1"].cost == "drain"
