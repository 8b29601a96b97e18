"""The verbs that contact nodes, with Ansible replaced by what it would report."""

import json
import os
import sys

import pytest
import typer
from typer.testing import CliRunner

from nimctl.cli import destroy, diff, env, logs, provision, status, test
from nimctl.errors import NimctlError, RejectedError
from nimctl.run import checks, journal, playbook, ranks
from nimctl.run.checks import Check
from nimctl.run.events import Event
from nimctl.run.playbook import Result
from nimctl.run.ranks import Seen

KEY = "nvapi-0123456789"


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("ANSIBLE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PULL_KEY", KEY)
    monkeypatch.chdir(tmp_path)


def invoke(verb, *arguments, text=""):
    """Run one verb as the command line would; an error that main() turns into a message is raised."""
    app = typer.Typer()
    app.callback()(lambda: None)
    verb.register(app)
    name = verb.__name__.rpartition(".")[2]
    outcome = CliRunner().invoke(app, [name, *map(str, arguments)], input=text)
    if isinstance(outcome.exception, NimctlError):
        raise outcome.exception
    assert not outcome.exception or isinstance(outcome.exception, SystemExit), outcome.exception
    return outcome


@pytest.fixture
def reports(monkeypatch):
    """Replaces Ansible; a test puts events and an exit code here, and finds the command lines."""

    class Reports:
        events = (
            Event("play", play="Deploy"),
            Event("task", task="Define"),
            Event("started", host="node1", task="Define"),
            Event(
                "ok",
                play="Deploy",
                host="node1",
                task="Define",
                action="m",
                result={"changed": True, "paths": ["/etc/x"]},
            ),
        )
        code = 0
        lines = ()

        def run(self, words, *, handler, on_interrupt=None, folder=None):
            self.lines = (*self.lines, tuple(words))
            for event in self.events:
                handler(event)
            return Result(self.code, False)

    made = Reports()
    monkeypatch.setattr(playbook, "ansible", made.run)
    return made


def test_provision_ends_with_what_serves_where(inventory, reports):
    done = invoke(provision, "-i", inventory, "--", "-e", "x=1")
    assert done.exit_code == 0
    assert "http://10.89.72.11:8000/v1" in done.stderr
    assert "curl http://10.89.72.11:8000/v1/chat/completions" in done.stderr
    assert done.stdout == ""
    (line,) = reports.lines
    assert line[1].endswith("site.yml")
    assert line[-2:] == ("-e", "x=1")


def test_provision_as_json(inventory, reports):
    done = invoke(provision, "-i", inventory, "--format", "json", "--limit", "node1")
    shape = json.loads(done.stdout)
    assert list(shape) == [
        *(
            "verb",
            "cluster",
            "check",
            "result",
            "exit_code",
            "started",
            "ended",
            "seconds",
            "message",
            "record",
        ),
        *("nodes", "stages", "changed", "failed", "warnings", "pending", "endpoints"),
    ]
    assert shape["nodes"] == {
        "node1": {"state": "ok", "ok": 1, "changed": 1, "failed": 0, "unreachable": 0, "skipped": 0}
    }
    assert shape["endpoints"][0] == {
        "deployment": "tiny",
        "replica": 0,
        "node": "node1",
        "url": "http://10.89.72.11:8000/v1",
        "model": "tiny-model",
    }


def test_a_failed_run_ends_with_1_and_promises_no_endpoint(inventory, reports):
    reports.events += (Event("failed", host="node2", task="Define", result={"msg": f"no, {KEY}"}),)
    reports.code = 2
    done = invoke(provision, "-i", inventory, "--format", "json")
    assert done.exit_code == 1
    shape = json.loads(done.stdout)
    assert shape["endpoints"] == []
    assert shape["failed"][0]["message"] == "no, ********"
    assert KEY not in done.stderr


def test_a_rejected_description_contacts_no_node(inventory, reports):
    text = (inventory / "cluster.yml").read_text().replace("engine: rehearsal", "engine: rehersal", 1)
    (inventory / "cluster.yml").write_text(text)
    with pytest.raises(RejectedError, match=r"cluster\.yml:\d+:\d+: .*rehearsal"):
        invoke(provision, "-i", inventory)
    assert reports.lines == ()


def test_a_missing_secret_contacts_no_node(inventory, reports, monkeypatch):
    monkeypatch.delenv("PULL_KEY")
    with pytest.raises(RejectedError, match="export PULL_KEY"):
        invoke(provision, "-i", inventory)
    assert reports.lines == ()


def test_a_folder_without_i_is_understood_as_a_slip(inventory, reports):
    with pytest.raises(RejectedError, match="-i inventory"):
        invoke(provision, "-i", inventory, inventory.name)
    assert reports.lines == ()


@pytest.mark.parametrize("verb", [provision, status, test, diff, destroy])
def test_an_unknown_format_is_rejected(inventory, verb):
    with pytest.raises(RejectedError, match="text or json"):
        invoke(verb, "-i", inventory, "--format", "xml")


def test_diff_runs_in_check_mode_and_says_what_would_change(inventory, reports):
    done = invoke(diff, "-i", inventory)
    assert done.exit_code == 0
    assert {"--check", "--diff"} <= set(reports.lines[0])
    assert "node1: cost none" in done.stdout
    assert "Define: /etc/x" in done.stdout
    assert "node[2-3]: no difference" in done.stdout
    assert invoke(diff, "-i", inventory, "--exit-code").exit_code == 1


def test_diff_as_json(inventory, reports):
    shape = json.loads(invoke(diff, "-i", inventory, "--format", "json").stdout)
    assert list(shape) == ["cluster", "result", "exit_code", "message", "record", "differs", "nodes"]
    assert shape["differs"] is True
    assert shape["nodes"][0] == {
        "node": "node1",
        "cost": "none",
        "changes": [{"stage": "Deploy", "task": "Define", "what": ["/etc/x"], "diff": ""}],
        "ranks": [],
        "layers": [],
    }


@pytest.mark.parametrize("kind", ["failed", "unreachable"])
def test_the_cost_is_unknown_on_a_node_that_could_not_be_asked(inventory, reports, kind):
    reports.events = (*reports.events, Event(kind, play="Deploy", host="node2", result={"msg": "no route"}))
    reports.code = 2
    done = invoke(diff, "-i", inventory)
    assert done.exit_code == 1
    assert "node2: not known, the check did not come to its end" in done.stdout
    assert "node3: no difference" in done.stdout
    shape = json.loads(invoke(diff, "-i", inventory, "--format", "json").stdout)
    assert [node["cost"] for node in shape["nodes"]] == ["none", "unknown", "none"]


def test_diff_counts_ranks_by_what_happens_to_them(inventory, reports):
    found = {"tiny-0-0": {"replica": "tiny-0", "reason": "it does not run"}}
    moved = {"changed": True, "names": ["tiny-0-0"]}
    reports.events = (
        Event("ok", host="node1", action="nimctl.multinode.ranks", result={"ranks": found}),
        Event("ok", host="node1", action="nimctl.multinode.rank_state", result=moved),
    )
    assert "1 of 3 nodes differ; 1 rank to start." in invoke(diff, "-i", inventory).stdout


def test_no_difference_is_0_with_exit_code_too(inventory, reports):
    reports.events = ()
    done = invoke(diff, "-i", inventory, "--exit-code")
    assert done.exit_code == 0
    assert "0 of 3 nodes differ" in done.stdout


def test_destroy_asks_nobody_when_there_is_nobody(inventory, reports):
    with pytest.raises(RejectedError, match="--yes"):
        invoke(destroy, "-i", inventory)
    assert reports.lines == ()


def test_destroy_wants_the_name_of_the_cluster(inventory, reports, monkeypatch):
    monkeypatch.setattr(destroy, "_somebody_is_there", lambda: True)
    with pytest.raises(RejectedError, match="not the name"):
        invoke(destroy, "-i", inventory, text="prod\n")
    assert reports.lines == ()
    assert invoke(destroy, "-i", inventory, text="demo\n").exit_code == 0
    assert reports.lines[0][1].endswith("playbooks/destroy.yml")


def test_destroy_names_what_goes_and_keeps_models(inventory, reports):
    done = invoke(destroy, "-i", inventory, "--yes")
    assert "tiny (tiny-model): stops serving; ranks tiny-0-0, tiny-0-1" in done.stderr
    assert "Models and caches stay" in done.stderr
    assert "purge" not in " ".join(reports.lines[0])
    purged = invoke(destroy, "-i", inventory, "--yes", "--purge")
    assert purged.exit_code == 0
    assert json.loads(reports.lines[1][-1]) == {destroy.PURGE: True}


def test_destroy_keeps_drivers_unless_it_is_asked(inventory, reports):
    assert "Drivers, RDMA and tuning stay" in invoke(destroy, "-i", inventory, "--yes").stderr
    done = invoke(destroy, "-i", inventory, "--yes", "--stack")
    assert "drivers, Fabric Manager, container toolkit" in done.stderr
    assert json.loads(reports.lines[1][-1]) == {destroy.STACK: True}


def test_status_exits_with_1_when_something_does_not_serve(inventory, monkeypatch):
    monkeypatch.setattr(ranks, "look", lambda target: {"node1": Seen("node1", {}, "no route to host")})
    done = invoke(status, "-i", inventory)
    assert done.exit_code == 1
    assert "unreachable" in done.stdout
    assert "tiny-0-0 on node1: no route to host" in done.stderr
    shape = json.loads(invoke(status, "-i", inventory, "--format", "json").stdout)
    assert shape["serving"] is False
    only = invoke(status, "-i", inventory, "solo")
    assert "tiny" not in only.stdout


def test_an_unknown_deployment_names_the_likely_one(inventory):
    with pytest.raises(RejectedError, match="did you mean solo"):
        invoke(status, "-i", inventory, "sole")


def test_test_exits_with_1_when_a_check_fails(inventory, monkeypatch):
    done = [
        Check("health", "tiny", 0, "node1", True, 0.1, "fine"),
        Check("models", "tiny", 0, "node1", False, 0, "x"),
    ]
    monkeypatch.setattr(checks, "run", lambda target, deployment, timeout: iter(done))
    shown = invoke(test, "-i", inventory)
    assert shown.exit_code == 1
    assert "1 of 2 checks failed" in shown.stderr
    assert f"nimctl status -i {inventory}" in shown.stderr
    shape = json.loads(invoke(test, "-i", inventory, "--format", "json").stdout)
    assert list(shape) == ["cluster", "time", "passed", "checks"]
    assert shape["checks"][0] == {
        "check": "health",
        "deployment": "tiny",
        "replica": 0,
        "node": "node1",
        "passed": True,
        "seconds": 0.1,
        "detail": "fine",
    }


def test_logs_say_their_rank(inventory, monkeypatch):
    line = '{"__REALTIME_TIMESTAMP":"1763928000000000","MESSAGE":"[ready] to serve"}'
    monkeypatch.setattr(journal, "command", lambda node, settings, words: ["echo", line])
    done = invoke(logs, "-i", inventory, "--rank", "tiny-0-1")
    assert done.exit_code == 0
    assert done.stdout.startswith("tiny-0-1 ")
    assert done.stdout.rstrip().endswith("[ready] to serve")


def test_a_journal_that_cannot_be_read_is_a_failure(inventory, monkeypatch):
    monkeypatch.setattr(journal, "command", lambda node, settings, words: ["false"])
    done = invoke(logs, "-i", inventory)
    assert done.exit_code == 1
    assert "solo-0-0 on node3: the journal cannot be read" in done.stderr


def test_env_is_ready_for_eval():
    lines = invoke(env).stdout.splitlines()
    assert all(line.startswith("export ") for line in lines)
    assert any(line.startswith("export ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=True") for line in lines)
    assert json.loads(invoke(env, "--format", "json").stdout)["ANSIBLE_INJECT_FACT_VARS"] == "False"


def test_env_runs_a_command(monkeypatch):
    ran = {}
    monkeypatch.setattr(
        env.os, "execve", lambda path, words, values: ran.update(path=path, words=words, env=values)
    )
    invoke(env, "--", sys.executable, "-V")
    assert ran["words"] == [sys.executable, "-V"]
    assert ran["env"]["ANSIBLE_PIPELINING"] == "True"


def test_env_names_a_command_that_is_not_there():
    with pytest.raises(RejectedError, match="no-such-command was not found"):
        invoke(env, "--", "no-such-command")
