"""A removal takes out what the installation brought, and nothing else."""

import json

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import files
from ansible_collections.nimctl.multinode.plugins.module_utils.package_manager import Apt, Dnf
from ansible_collections.nimctl.multinode.plugins.module_utils.package_removal import removable
from ansible_collections.nimctl.multinode.plugins.module_utils.parts import packages


class AptNode:
    """Installed packages, what each needs, and which of them somebody has asked for."""

    def __init__(self, needs, asked_for, suggests=()):
        self.needs = dict(needs)
        self.suggests = set(suggests)
        self.asked_for = set(asked_for)
        self.purged = []

    def __call__(self, command, **options):
        if command[0] == "dpkg-query":
            rows = [f"{name}\tinstalled\t1" for name in command[3:] if name in self.needs]
            return (0, "\n".join(rows), "")
        names = command[command.index("purge") + 1 :]
        kept = set() if "--option=APT::AutoRemove::SuggestsImportant=false" in names else self.suggests
        gone = self.without({name for name in names if name[:2] != "--"}, "--auto-remove" in names) - kept
        if "--simulate" not in command:
            self.purged.append(names)
            for name in gone:
                del self.needs[name]
        return (0, "".join(f"Purg {name} [1]\n" for name in sorted(gone)), "")

    def without(self, gone, auto_remove):
        while more := {name for name, needs in self.needs.items() if needs & gone} - gone:
            gone = gone | more
        if auto_remove:
            needed = {name for name in self.asked_for if name in self.needs} - gone
            while more := {need for name in needed for need in self.needs[name]} - needed:
                needed = needed | more
            gone = set(self.needs) - needed
        return gone


NEEDS = {
    "podman": {"conmon", "libc6"},
    "conmon": {"libc6"},
    "libc6": set(),
    "orphan": {"libc6"},
}


def node(*asked_for, **needs):
    return AptNode({**NEEDS, **needs}, {"podman", "libc6", *asked_for})


def test_a_dependency_goes_with_the_package_that_brought_it():
    assert removable(Apt(node()), ["podman"], ["conmon"]) == ["podman", "conmon"]


def test_a_dependency_that_another_package_merely_suggests_goes_as_well():
    suggested = AptNode(NEEDS, {"podman", "libc6"}, suggests={"conmon"})
    assert removable(Apt(suggested), ["podman"], ["conmon"]) == ["podman", "conmon"]


def test_orphans_of_others_stay():
    assert "orphan" not in removable(Apt(node()), ["podman"], ["conmon"])


def test_a_dependency_that_was_there_before_stays():
    assert removable(Apt(node()), ["podman"], []) == ["podman"]


def test_a_dependency_that_somebody_asked_for_since_stays():
    assert removable(Apt(node("conmon")), ["podman"], ["conmon"]) == ["podman"]


def test_a_package_that_something_else_has_come_to_need_stays():
    compose = node("podman-compose", **{"podman-compose": {"podman"}})
    assert removable(Apt(compose), ["podman"], ["conmon"]) == []


def test_an_orphan_that_needs_our_dependency_keeps_it():
    assert removable(Apt(node(orphan={"conmon"})), ["podman"], ["conmon"]) == ["podman"]


def test_what_only_several_together_would_take_along_keeps_the_last():
    class Either:
        def needless_without(self, names, brought):
            return brought

        def takes_along(self, names):
            return ["mailer"] if {"exim", "postfix"} <= set(names) else []

    assert removable(Either(), ["exim"], ["postfix"]) == ["exim"]


def rpm(command, **options):
    if "repoquery" in command:
        return (0, "podman\nless\n", "")
    names = command[3:]
    needed = []
    if "podman" in names:
        needed.append("\tpodman is needed by (installed) podman-compose-1.0-1.el9.noarch")
    if "conmon" in names and "podman" not in names:
        needed.append("\tconmon >= 2 is needed by (installed) podman-5.4-1.el9.x86_64")
    return (1 if needed else 0, "", "\n".join(["error: Failed dependencies:", *needed]) if needed else "")


def test_dnf_keeps_what_others_need_or_somebody_asked_for():
    assert removable(Dnf(rpm), ["podman", "skopeo"], ["conmon", "less", "slirp4netns"]) == [
        "skopeo",
        "slirp4netns",
    ]


def test_dnf_removes_nothing_by_itself():
    calls = []
    Dnf(lambda command, **options: (calls.append(command), (0, "", ""))[1]).remove(["podman"])
    assert "--setopt=clean_requirements_on_remove=False" in calls[0]


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The module as it runs on a node: ``call(node, state)`` gives its result."""
    monkeypatch.setattr(files.Record.__init__, "__defaults__", (tmp_path,))
    monkeypatch.setattr(
        files,
        "write_atomic",
        lambda path, text, *_: (path.parent.mkdir(exist_ok=True), path.write_text(text)),
    )

    class Module:
        def __init__(self, state, check_mode):
            self.params = {"owner": "container_engine", "names": [], "state": state}
            self.check_mode = check_mode

        def exit_json(self, **result):
            self.result = result

        def fail_json(self, **result):
            raise AssertionError(result["msg"])

    def call(run, state="absent", check=False):
        monkeypatch.setattr(packages, "package_manager", lambda _: Apt(run))
        module = Module(state, check)
        packages.work(module)
        return module.result

    call.record = tmp_path / "packages" / "container_engine.json"
    return call


def remember(module, **content):
    module.record.parent.mkdir()
    module.record.write_text(json.dumps(content))


def test_the_module_removes_what_came_and_forgets_it(module):
    remember(module, names=["podman"], dependencies=["conmon"])
    host = node()
    assert module(host, check=True)["names"] == ["podman", "conmon"]
    assert host.purged == []
    assert module(host)["names"] == ["podman", "conmon"]
    assert host.purged == [["podman", "conmon"]]
    assert not module.record.exists()
    assert module(host)["changed"] is False


def test_a_removal_that_was_interrupted_goes_on(module):
    remember(module, names=["podman"], dependencies=["conmon"])
    host = AptNode({"conmon": set(), "orphan": set()}, set())
    assert module(host)["names"] == ["conmon"]
    assert set(host.needs) == {"orphan"}
