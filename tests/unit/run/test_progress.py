import io

from rich.console import Console

from nimctl.run.display import Plain, Terminal, choose, duration, node_table
from nimctl.run.events import HIDDEN, Event, message, read
from nimctl.run.names import fold
from nimctl.run.progress import Node, Progress


def report(kind, host="", **data):
    return {"event": kind, "created": "t", "event_data": {"host": host, **data}}


def play(progress, name):
    return progress.apply(Event("play", play=name))


def task(progress, name, results):
    notes = progress.apply(Event("task", task=name))
    for host, (kind, result) in results.items():
        progress.apply(Event("started", task=name, host=host))
        notes += progress.apply(Event(kind, task=name, host=host, action="m", result=result))
    return notes


OK = ("ok", {"changed": False})
CHANGED = ("ok", {"changed": True})


def test_events_of_ansible_are_translated():
    event = read(
        report(
            "runner_on_ok", "a", play="Hosts", task="Install", role="container_engine", res={"changed": True}
        )
    )
    assert event == Event("ok", time="t", play="Hosts", task="Install", host="a", result={"changed": True})
    assert event.changed
    assert read({"event": "playbook_on_include"}) is None
    assert read({"event": "verbose", "stdout": "  \n"}) is None


def test_the_name_of_a_task_is_the_same_with_and_without_its_role():
    long = read(
        report("playbook_on_task_start", name="nim_rank : Pull", role="nim_rank", task="nim_rank : Pull")
    )
    assert long is not None
    assert long.task == "Pull"


def test_what_many_nodes_report_is_said_once():
    progress = Progress(["a1", "a2", "a3"])
    play(progress, "Hosts")
    task(progress, "Install", {"a1": CHANGED, "a2": OK, "a3": CHANGED})
    notes = task(progress, "Next", {"a1": OK})
    assert [(note.kind, note.task, note.nodes) for note in notes] == [("changed", "Install", ("a1", "a3"))]
    assert progress.changes[0].nodes == ("a1", "a3")
    assert progress.nodes["a1"].changed == 1
    assert progress.nodes["a2"].changed == 0


def test_one_cause_on_many_nodes_is_one_failure():
    progress = Progress()
    play(progress, "Deploy")
    full, login = ("failed", {"msg": "disk full"}), ("failed", {"msg": "no login"})
    task(progress, "Pull", {"a1": full, "a2": login, "a3": full})
    progress.finish()
    assert [(failure.nodes, failure.message) for failure in progress.failures] == [
        (("a1", "a3"), "disk full"),
        (("a2",), "no login"),
    ]
    assert progress.nodes["a1"].state == "failed"


def test_a_failure_that_the_playbook_handles_is_none():
    progress = Progress()
    play(progress, "Deploy")
    progress.apply(Event("failed", host="a1", task="Try", result={"msg": "x"}, tolerated=True))
    progress.finish()
    assert progress.failures == []


def test_unreachable_nodes_are_kept_apart():
    progress = Progress()
    play(progress, "Begin")
    task(progress, "Lease", {"a1": ("unreachable", {"msg": "no route"})})
    progress.finish()
    assert progress.failures[0].unreachable
    assert progress.nodes["a1"].state == "unreachable"


def test_stages_are_timed():
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    play(progress, "One")
    now[0] = 5.0
    play(progress, "Two")
    assert progress.stages[0].seconds == 5.0
    assert progress.stages[1].seconds is None


def test_what_waits_is_collected_from_our_own_modules():
    progress = Progress()
    play(progress, "Hosts")
    for host in ("a1", "a2"):
        result = {"changed": False, "pending": ["docker restarts when no rank runs"]}
        progress.apply(Event("ok", host=host, action="nimctl.multinode.engine_service", result=result))
        progress.apply(Event("ok", host=host, action="other.collection.module", result={"pending": ["x"]}))
    assert progress.pending == ["a[1-2]: docker restarts when no rank runs"]


def test_a_warning_is_said_once():
    progress = Progress()
    first = progress.apply(Event("warning", text="[WARNING]: odd"))
    assert [note.text for note in first] == ["odd"]
    assert progress.apply(Event("warning", text="[WARNING]: odd")) == []


def test_messages_of_failures():
    assert message({"msg": "why"}) == "why"
    assert (
        message({"msg": "non-zero return code", "stderr": "no space left"})
        == "non-zero return code\nno space left"
    )
    assert message({"censored": "x"}) == HIDDEN
    refused = message({"msg": "Failed to connect: ubuntu@a1: Permission denied (publickey)."})
    assert refused.splitlines()[0].endswith("Permission denied (publickey).")
    assert "connection.key" in refused
    loop = {"msg": "One or more items failed", "results": [{"failed": True, "msg": "b"}, {"msg": "fine"}]}
    assert message(loop) == "b"
    assert message({}) != ""


def console(terminal=False, height=20):
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, height=height, highlight=False)


def written(to):
    return to.file.getvalue()


def test_plain_lines_in_a_pipe():
    out = console()
    display = choose(out)
    assert isinstance(display, Plain)
    progress = Progress(["gpu01", "gpu02"])
    display.show(progress, play(progress, "Hosts"))
    task(progress, "Install [podman]", {"gpu01": CHANGED, "gpu02": CHANGED})
    display.show(
        progress, task(progress, "Pull", {"gpu01": ("failed", {"msg": "registry is gone\nstart it"})})
    )
    display.show(progress, progress.finish())
    lines = [line[9:] for line in written(out).splitlines()[:3]]
    assert lines == ["Hosts", "  changed gpu[01-02]: Install [podman]", "  failed gpu01: Pull"]
    assert "      start it" in written(out)
    assert "\x1b" not in written(out)


def test_check_mode_says_would():
    out = console()
    display = choose(out, check=True)
    progress = Progress()
    play(progress, "Hosts")
    task(progress, "Install", {"a1": CHANGED})
    display.show(progress, progress.finish())
    assert "would change a1: Install" in written(out)


def test_a_terminal_gets_a_table():
    out = console(terminal=True)
    display = choose(out)
    assert isinstance(display, Terminal)
    progress = Progress(["a1"])
    with display:
        display.show(progress, play(progress, "Hosts"))
        display.show(progress, task(progress, "Install", {"a1": CHANGED}))
    assert "Hosts" in written(out)


def test_more_nodes_than_lines_become_a_count_with_the_failed_ones_first():
    progress = Progress(f"n{i:04}" for i in range(2000))
    progress.nodes["n1999"] = Node("n1999", state="failed")
    out = console()
    out.print(node_table(progress, 10))
    lines = written(out).splitlines()
    assert len(lines) <= 12
    assert lines[1].startswith("n1999")
    assert "2000 nodes: 1999 waiting, 1 failed" in lines[-1]


def test_folded_names_and_durations():
    assert fold(["gpu02", "gpu01", "store"]) == "gpu[01-02],store"
    assert [duration(s) for s in (4.9, 65, 3720)] == ["4s", "1m05s", "1h02m"]


def test_the_controller_is_no_node():
    progress = Progress(["a1"])
    play(progress, "Begin | inventory")
    task(progress, "Check", {"localhost": ("failed", {"msg": "no groups"})})
    progress.finish()
    assert list(progress.nodes) == ["a1"]
    assert not progress.contacted
    assert progress.failures[0].message == "no groups"


def test_batches_of_one_play_are_one_stage():
    progress = Progress(["a1"])
    assert [note.kind for note in play(progress, "Lease")] == ["stage"]
    assert play(progress, "Lease") == []
    assert len(progress.stages) == 1


def test_the_summary_at_the_end_adds_nothing_to_what_waits():
    progress = Progress(["node1"])
    for action, reason in (("x", "waits"), ("pending", "node1: waits")):
        result = {"pending": [reason]}
        progress.apply(Event("ok", host="node1", action=f"nimctl.multinode.{action}", result=result))
    assert progress.pending == ["node1: waits"]


def test_what_the_stack_will_do_is_said_once_for_all_nodes():
    plans = {
        "driver": {"will": ["install 580.178.04"], "cost": "drain", "pending": [], "version": "", "notes": []}
    }
    progress = Progress(["n1", "n2"])
    for host in ("n1", "n2"):
        progress.apply(Event("ok", host=host, action="nimctl.multinode.stack_plan", result={"plans": plans}))
    (note,) = progress.apply(Event("task", task="Next"))
    assert (note.kind, note.text, note.nodes) == ("will", "driver: install 580.178.04", ("n1", "n2"))
