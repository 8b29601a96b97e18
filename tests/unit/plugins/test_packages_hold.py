"""Holds, and repositories: what is written, and that apt itself does what was meant."""

import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.packages import hold as holds
from ansible_collections.nimctl.multinode.plugins.module_utils.packages import repository as repositories
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.apt import Apt
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import PackageError
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.dnf import Dnf
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.hold import (
    AptHold,
    DnfHold,
    preferences,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.repository import (
    Repository,
    explained,
    offers,
)

REPOSITORY = Repository("nvidia", "apt", "https://mirror/x/", "https://mirror/x/key.pub", "A" * 40)
FAMILY = ["nvidia-dkms-*", "libnvidia-compute*"]
NAMES = [
    "libnvidia-compute-570",
    "libnvidia-compute-580",
    "nvidia-dkms-570-open",
    "nvidia-dkms-580-open",
]


@pytest.fixture
def apt(tmp_path):
    """The real apt on a system of its own, with a flat repository of two branches."""
    if not shutil.which("apt-get"):
        pytest.skip("needs apt")
    for folder in ("etc/preferences.d", "lists/partial", "cache/archives/partial", "repo"):
        (tmp_path / folder).mkdir(parents=True)
    status = tmp_path / "status"
    status.write_text(_stanza("nvidia-dkms-570-open", "570.211.01-0ubuntu1", installed=True))
    stanzas = [
        _stanza(name, version)
        for name, version in (
            ("nvidia-dkms-570-open", "570.211.01-0ubuntu1"),
            ("nvidia-dkms-570-open", "570.999.01-0ubuntu1"),
            ("nvidia-dkms-580-open", "580.126.20-0ubuntu1"),
            ("libnvidia-compute-570", "570.211.01-0ubuntu1"),
            ("libnvidia-compute-580", "580.126.20-0ubuntu1"),
            ("other", "1.0-1"),
        )
    ]
    (tmp_path / "repo" / "Packages").write_text("\n".join(stanzas))
    (tmp_path / "sources.list").write_text(f"deb [trusted=yes] file:{tmp_path}/repo ./\n")
    options = {
        "Dir::Etc::sourcelist": tmp_path / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::Etc::preferencesparts": tmp_path / "etc/preferences.d",
        "Dir::State": tmp_path,
        "Dir::State::lists": tmp_path / "lists",
        "Dir::State::status": status,
        "Dir::Cache": tmp_path / "cache",
        "APT::Architecture": "amd64",
        "APT::Architectures::": "amd64",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]

    def run(command, **_):
        if command[0] == "dpkg-query":
            return (0, "nvidia-dkms-570-open\tinstalled\t570.211.01-0ubuntu1\n", "")
        if command[0] == "apt-mark":
            return (0, "nvidia-dkms-570-open\n", "")
        done = subprocess.run([command[0], *words, *command[1:]], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    run(["apt-get", "update"])
    found = Apt(run)
    found.preferences = tmp_path / "etc/preferences.d"
    return found


def _stanza(name, version, installed=False):
    status = "Status: install ok installed\n" if installed else f"Filename: ./{name}_{version}.deb\nSize: 1\n"
    digest = "" if installed else f"SHA256: {'0' * 64}\n"
    return (
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: x <x@example.org>\n"
        f"{status}{digest}Description: x\n"
    )


HELD = {"nvidia-dkms-570-open": "570.211.01-0ubuntu1"}


def test_apt_would_move_what_is_not_held(apt):
    with pytest.raises(PackageError, match=r"570.211.01-0ubuntu1 would become 570.999.01-0ubuntu1"):
        AptHold(apt).verify(HELD, [])


def test_apt_stays_with_what_is_held(apt):
    (apt.preferences / "nimctl-x.pref").write_text(preferences(HELD, []))
    AptHold(apt).verify(HELD, [])


def test_another_branch_slips_in_unless_the_family_keeps_it_out(apt):
    (apt.preferences / "nimctl-x.pref").write_text(preferences(HELD, []))
    assert apt.candidate("nvidia-dkms-580-open") == "580.126.20-0ubuntu1"
    with pytest.raises(PackageError, match=r"nvidia-dkms-580-open 580.126.20-0ubuntu1 could come in"):
        AptHold(apt).verify(HELD, NAMES)
    (apt.preferences / "nimctl-x.pref").write_text(preferences(HELD, NAMES))
    AptHold(apt).verify(HELD, NAMES)
    assert apt.candidate("nvidia-dkms-580-open") is None
    assert apt.candidate("libnvidia-compute-580") is None


def test_a_part_of_the_same_release_may_come_and_others_are_left_alone(apt):
    (apt.preferences / "nimctl-x.pref").write_text(preferences(HELD, NAMES))
    assert apt.candidate("libnvidia-compute-570") == "570.211.01-0ubuntu1"
    assert apt.candidate("other") == "1.0-1"


def test_preferences_of_others_that_win_are_found(apt):
    (apt.preferences / "a-site.pref").write_text(
        "Package: nvidia-dkms-570-open\nPin: version 570.999*\nPin-Priority: 1002\n"
    )
    (apt.preferences / "nimctl-x.pref").write_text(preferences(HELD, []))
    with pytest.raises(PackageError, match="The hold does not hold"):
        AptHold(apt).verify(HELD, [])


def test_apt_is_asked_as_if_our_preferences_were_others(apt, monkeypatch):
    monkeypatch.setattr(holds, "PREFERENCES", apt.preferences)
    (apt.preferences / "nimctl-x.pref").write_text(preferences(HELD, NAMES))
    wanted = preferences({"nvidia-dkms-580-open": "580.126.20-0ubuntu1"}, NAMES)
    with holds.as_if("x", wanted) as options:
        out = apt.run("apt-cache", *options, "policy", "nvidia-dkms-580-open", "libnvidia-compute-580")
    assert out.count("Candidate: 580.126.20-0ubuntu1") == 2
    assert apt.candidate("nvidia-dkms-580-open") is None


def test_members_of_a_family_are_those_that_apt_knows_and_those_that_were_written_down(apt, monkeypatch):
    monkeypatch.setattr(holds, "PREFERENCES", apt.preferences)
    assert holds.members(apt, "x", FAMILY) == NAMES
    (apt.preferences / "nimctl-x.pref").write_text(preferences(HELD, ["nvidia-dkms-590", "other"]))
    assert holds.members(apt, "x", FAMILY) == [*NAMES, "nvidia-dkms-590"]
    assert holds.members(apt, "x", []) == []


def test_all_versions_that_are_offered(apt):
    assert apt.offered(["nvidia-dkms-570-open", "nothere"]) == {
        "nvidia-dkms-570-open": ["570.999.01-0ubuntu1", "570.211.01-0ubuntu1"]
    }


def test_a_hold_that_was_lifted_is_missing():
    hold = AptHold(Apt(lambda command, **_: (0, "a\n", "")))
    assert hold.missing({"a": "1", "b": "1"}) == ["b"]


def test_locks_of_dnf_are_read_as_dnf_writes_them():
    locks = "nvidia-open-3:580.126.20-1.el9.*\nfx-0:1.0-1.*\n"
    dnf = Dnf(lambda command, **_: (0, locks if "versionlock" in command else f"{DnfHold.PLUGIN}\t1\n", ""))
    hold = DnfHold(dnf)
    assert hold.missing({"nvidia-open": "3:580.126.20-1.el9", "fx": "1.0-1"}) == []
    assert hold.missing({"nvidia-open": "3:580.178.04-1.el9"}) == ["nvidia-open"]
    with pytest.raises(PackageError, match="does not list nvidia-open"):
        hold.verify({"nvidia-open": "3:580.178.04-1.el9"}, [])


def test_a_lock_is_put_in_place_of_the_former_one():
    calls = []

    def run(command, **_):
        calls.append(command)
        if "list" in command:
            return (0, "nvidia-open-3:570.1-1.el9.*\nnvidia-open-extra-1-1.*\n", "")
        return (0, f"{DnfHold.PLUGIN}\t1\n", "")

    DnfHold(Dnf(run)).hold({"nvidia-open": "3:580.1-1.el9"})
    changes = [command[-1] for command in calls if {"add", "delete"} & set(command)]
    assert changes == ["nvidia-open-3:570.1-1.el9.*", "nvidia-open-3:580.1-1.el9.*"]


def test_files_of_a_repository():
    assert "Suites: /\nSigned-By: /etc/apt/keyrings/nimctl-nvidia.asc\n" in REPOSITORY.source(
        REPOSITORY.key_path
    )
    rpm = Repository("nvidia", "dnf", "https://mirror/x/", "https://mirror/x/key.pub", "A" * 40)
    text = rpm.source(rpm.key_path)
    assert "gpgcheck=1\n" in text
    assert "gpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-nimctl-nvidia\n" in text


@pytest.mark.parametrize(
    ("words", "meaning"),
    [
        (
            "W: … sqv returned an error code (1), error message is: Missing key 4AFC",
            "not signed with the key AAAA",
        ),
        ("E: The repository 'http://x Release' is not signed.", "its index is not signed"),
        ("E: File has unexpected size (1 != 2). Mirror sync in progress?", "does not match its index"),
        ("E: Failed to fetch http://x  404  Not Found", "there is no repository"),
        (
            "W: Failed to fetch http://x  Could not connect to h:1 (111: Connection refused)",
            "cannot be reached",
        ),
        ("something new", "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_repository_is_said(words, meaning):
    said = explained(REPOSITORY, words)
    assert meaning in said
    assert "https://mirror/x/" in said
    assert "No package was touched" in said


def test_a_repository_of_another_kind_is_refused():
    with pytest.raises(NodeError, match="a repository for apt, and this node has dnf"):
        offers(Dnf(print), REPOSITORY, [])


def test_a_key_with_another_fingerprint_is_refused_before_apt_reads_anything(monkeypatch):
    key = (Path(__file__).parent / "fixtures" / "key.asc").read_bytes()

    class Answer:
        def read(self):
            return key

    monkeypatch.setattr(
        "ansible_collections.nimctl.multinode.plugins.module_utils.signing_key.open_url",
        lambda *_, **__: Answer(),
    )
    with pytest.raises(NodeError, match="expected AAAA"):
        offers(Apt(lambda *_, **__: pytest.fail("apt was called")), REPOSITORY, [])
    assert repositories.offers is offers
