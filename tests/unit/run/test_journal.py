import shlex

import pytest

from nimctl.run import connection, journal


@pytest.fixture
def rank(target):
    return target.ranks("tiny")[1]


def test_an_age_and_a_moment(rank):
    words = journal.words(rank, lines=5, since="10m", follow=False)
    assert "--since=-10m" in words
    assert "--lines=5" in words
    assert words[-3:] == ["SYSLOG_IDENTIFIER=nim-tiny-0-1", "+", "UNIT=nim-tiny-0-1.service"]
    assert "--since=2026-11-23 20:00" in journal.words(rank, lines=5, since="2026-11-23 20:00", follow=False)


def test_following_ends_with_the_connection(rank):
    shell, flag, script = journal.words(rank, lines=5, since=None, follow=True)
    assert (shell, flag) == ("sh", "-c")
    assert "--follow" in script
    assert script.endswith("& cat >/dev/null; kill $!")


def test_lines_of_the_journal_are_read():
    line = journal.parse("a-0-0", '{"__REALTIME_TIMESTAMP":"1763928000000000","MESSAGE":"ready"}')
    assert line == journal.Line(1763928000000000, "a-0-0", "ready")
    odd = journal.parse("a-0-0", '{"__REALTIME_TIMESTAMP":"1","MESSAGE":[104,105,255]}')
    assert odd is not None
    assert odd.text == "hi\ufffd"
    assert journal.parse("a-0-0", "-- No entries --") is None


def test_ssh_as_the_inventory_says(target):
    settings = connection.variables(target, ["node2"])["node2"]
    line = connection.command("node2", settings, ["journalctl", "--since=a b"])
    assert line[0] == "ssh"
    assert line[line.index("-p") + 1] == "2222"
    assert line[line.index("-l") + 1] == "ubuntu"
    assert line[line.index("-i") + 1] == str(target.folder / "id_ed25519")
    assert line[-2] == "10.89.72.12"
    assert shlex.split(line[-1]) == ["sudo", "-n", "journalctl", "--since=a b"]


def test_root_needs_no_sudo():
    line = connection.command("n", {"ansible_user": "root", "ansible_become": True}, ["id"])
    assert line[-2:] == ["n", "id"]


def test_a_local_node_needs_no_ssh():
    assert connection.command("n", {"ansible_connection": "local"}, ["id"]) == ["sh", "-c", "id"]


def read(target, script):
    """Read the journals of all ranks where the command on each node is replaced by a local script."""
    return journal.recent(
        target.ranks(), {node: {"script": script} for node in target.nodes}, lines=1, since=None
    )


def test_the_logs_of_all_ranks_are_merged_by_time(target, monkeypatch):
    times = {"node1": 30, "node2": 10, "node3": 20}

    def command(node, settings, words):
        return [
            "printf",
            f'{{"__REALTIME_TIMESTAMP":"{times[node]}","MESSAGE":"from {node}"}}\n'.replace("%", "%%"),
        ]

    monkeypatch.setattr(journal, "command", command)
    lines, troubles = read(target, "")
    assert [line.text for line in lines] == ["from node2", "from node3", "from node1"]
    assert troubles == []


def test_a_node_that_cannot_be_read_is_named(target, monkeypatch):
    monkeypatch.setattr(
        journal, "command", lambda node, settings, words: ["sh", "-c", "echo no route >&2; exit 255"]
    )
    lines, troubles = read(target, "")
    assert lines == []
    assert (troubles[0].node, troubles[0].text) == ("node1", "no route")


def test_following_gives_lines_and_then_why_it_ended(target, monkeypatch):
    text = '{"__REALTIME_TIMESTAMP":"1","MESSAGE":"x"}'
    monkeypatch.setattr(
        journal, "command", lambda node, settings, words: ["sh", "-c", f"echo '{text}'; exit 3"]
    )
    ranks = target.ranks("tiny")
    with journal.Follower(ranks, {node: {} for node in target.nodes}, lines=1, since=None) as follower:
        items = list(follower)
    assert sorted(item.text for item in items if isinstance(item, journal.Line)) == ["x", "x"]
    assert all("exit code 3" in item.text for item in items if isinstance(item, journal.Trouble))
