from pathlib import Path

from nimctl.run import session
from nimctl.run.events import Event
from nimctl.run.playbook import Result
from nimctl.run.progress import Failure, Progress


def test_verdicts():
    progress = Progress()
    assert session.judge(Result(0, False), progress) == ("done", 0, "")
    waits = {"changed": False, "pending": ["waits for a reboot"]}
    progress.apply(Event("ok", host="node1", action="nimctl.multinode.x", result=waits))
    assert session.judge(Result(0, False), progress)[:2] == ("pending", 3)
    assert session.judge(Result(4, False), Progress())[:2] == ("rejected", 2)
    progress.failures = [Failure("s", "t", "why", ("localhost",))]
    assert session.judge(Result(2, False), progress)[:2] == ("rejected", 2)
    progress.tasks = 1
    assert session.judge(Result(2, False), progress) == ("failed", 1, "why")
    assert session.judge(Result(130, True), progress)[:2] == ("interrupted", 130)


def test_the_command_line():
    request = session.Request(
        "destroy",
        "demo",
        "destroy",
        inventory=Path("inventories/prod"),
        limit="node1",
        check=True,
        diff=True,
        variables={"nimctl_purge": True},
        arguments=["-vv"],
    )
    words = request.words()
    assert words[0] == "ansible-playbook"
    assert words[1].endswith("playbooks/destroy.yml")
    assert words[2:] == [
        *("-i", "inventories/prod", "--limit", "node1", "--check", "--diff"),
        *("-e", '{"nimctl_purge": true}', "-vv"),
    ]
