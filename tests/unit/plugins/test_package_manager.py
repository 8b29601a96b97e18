import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.package_manager import Apt, Dnf, PackageError
from ansible_collections.nimctl.multinode.plugins.module_utils.packages import policy as policy_layer

POLICY = """podman:
  Installed: (none)
  Candidate: 5.4.2+ds1-2+b2
  Version table:
     5.4.2+ds1-2+b2 500
"""
UNKNOWN = ""


class Node:
    """Answers the first command whose words are all in the call."""

    def __init__(self, *answers):
        self.answers = answers
        self.calls = []

    def __call__(self, command, **options):
        self.calls.append(" ".join(command))
        for words, answer in self.answers:
            if all(word in command for word in words.split()):
                return answer.pop(0) if isinstance(answer, list) else answer
        raise AssertionError(f"unexpected: {command}")

    def ran(self, words):
        return [call for call in self.calls if words in call]


@pytest.fixture(autouse=True)
def policy(tmp_path, monkeypatch):
    path = tmp_path / "policy-rc.d"
    monkeypatch.setattr(policy_layer, "POLICY", path)
    return path


def test_installed_packages_of_apt():
    out = "podman\tinstalled\t5.4.2\nnetavark\tconfig-files\t1.14\n"
    node = Node(("dpkg-query", (1, out, "dpkg-query: no packages found matching crun")))
    assert Apt(node).installed(["podman", "netavark", "crun"]) == {"podman": "5.4.2"}
    assert Apt(Node()).installed([]) == {}


def test_candidates_of_apt():
    assert Apt(Node(("apt-cache", (0, POLICY, "")))).candidate("podman") == "5.4.2+ds1-2+b2"
    assert Apt(Node(("apt-cache", (0, "x:\n  Candidate: (none)\n", "")))).candidate("x") is None
    assert Apt(Node(("apt-cache", (0, UNKNOWN, "")))).candidate("x") is None


def test_lists_are_not_fetched_where_they_know_the_package():
    node = Node(("apt-cache", (0, POLICY, "")), ("install", (0, "", "")))
    Apt(node).install(["podman"])
    assert not node.ran(" update")


def test_lists_are_fetched_for_a_package_that_they_do_not_know():
    node = Node(("apt-cache", (0, UNKNOWN, "")), ("update", (0, "", "")), ("install", (0, "", "")))
    Apt(node).install(["docker-ce"])
    assert "--error-on=any" in node.ran(" update")[0]


def test_lists_are_fetched_when_they_are_too_old():
    old = (100, "", "E: Failed to fetch http://deb.debian.org/x.deb  404  Not Found")
    node = Node(
        ("apt-cache", (0, POLICY, "")),
        ("update", (0, "", "")),
        ("--simulate", (0, "", "")),
        ("install", [old, (0, "", "")]),
    )
    Apt(node).install(["podman"])
    assert len(node.ran(" update")) == 1
    assert len([call for call in node.ran(" install ") if "--simulate" not in call]) == 2


def test_the_last_words_of_apt_are_its_errors():
    gone = (
        100,
        "Reading package lists...\n",
        "E: Unable to correct problems, you have held broken packages.\n",
    )
    node = Node(("apt-cache", (0, POLICY, "")), ("update", (0, "", "")), ("install", gone))
    with pytest.raises(
        PackageError, match=r"^E: Unable to correct problems, you have held broken packages\.$"
    ):
        Apt(node).install(["podman"])


def test_the_lines_that_explain_an_error_are_told_with_it():
    gone = (
        100,
        "",
        "E: Unable to satisfy dependencies. Reached two conflicting assignments:\n"
        "   1. nvidia-kernel-common is not selected for install\n"
        "   2. nvidia-kernel-common is selected for install because:\n"
        "Something else\n",
    )
    node = Node(("apt-cache", (0, POLICY, "")), ("update", (0, "", "")), ("install", gone))
    with pytest.raises(PackageError, match=r"1\. nvidia-kernel-common is not selected") as caught:
        Apt(node).install(["podman"])
    assert "Something else" not in str(caught.value)


def test_services_do_not_start_by_being_installed(policy):
    seen = []

    def node(command, **options):
        if "install" in command:
            seen.append(policy.read_text())
        return (0, POLICY, "")

    Apt(node).install(["docker.io"])
    assert "exit 101" in seen[0]
    assert not policy.exists()


def test_a_policy_of_somebody_else_stays(policy):
    policy.write_text("theirs")
    Apt(Node(("apt-cache", (0, POLICY, "")), ("install", (0, "", "")))).install(["podman"])
    assert policy.read_text() == "theirs"


def test_dnf():
    node = Node(
        ("rpm", (1, "podman\t5.4.0\n", "package x is not installed")),
        ("repoquery", (0, "5.6.0\n", "")),
        ("install", (1, "", "Error: Unable to find a match: docker-ce")),
    )
    assert Dnf(node).installed(["podman", "x"]) == {"podman": "5.4.0"}
    assert Dnf(node).candidate("podman") == "5.6.0"
    with pytest.raises(PackageError, match="Unable to find a match: docker-ce"):
        Dnf(node).install(["docker-ce"])


SIMULATED = """Inst libc6 [2.41-12] (2.41-13 Debian:13 [amd64])
Inst conmon (2.1.6+ds1-1 Debian:13 [amd64])
Inst podman (5.4.2+ds1-2 Debian:13 [amd64])
Conf podman (5.4.2+ds1-2 Debian:13 [amd64])
"""


def test_apt_removes_no_package_of_others_to_install_ours():
    node = Node(("apt-cache", (0, POLICY, "")), ("install", (0, "", "")))
    Apt(node).install(["podman"])
    assert node.ran(" install ")
    assert all("--no-remove" in call for call in node.ran(" install "))


def test_what_apt_will_bring_is_known_before_it_comes():
    node = Node(("apt-cache", (0, POLICY, "")), ("--simulate", (0, SIMULATED, "")), ("install", (0, "", "")))
    told = []
    Apt(node).install(["podman"], lambda brought: told.append((brought, len(node.ran(" install ")))))
    assert told == [(["conmon", "podman"], 1)]


def test_what_dnf_brought_is_known_also_when_it_failed():
    node = Node(
        ("--all", [(0, "bash\n", ""), (0, "bash\nconmon\n", "")]), ("install", (1, "", "Error: no space"))
    )
    told = []
    with pytest.raises(PackageError, match="no space"):
        Dnf(node).install(["podman"], told.append)
    assert told == [["conmon"]]


def test_a_policy_that_a_killed_run_left_is_taken_over(policy):
    policy.write_text(policy_layer.POLICY_TEXT)
    Apt(Node(("apt-cache", (0, POLICY, "")), ("install", (0, "", "")))).install(["podman"])
    assert not policy.exists()
