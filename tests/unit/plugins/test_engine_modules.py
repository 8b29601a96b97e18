"""An engine and containers that belong to somebody else are never replaced, restarted or removed."""

import json

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import engine
from ansible_collections.nimctl.multinode.plugins.modules import container_engine_info, engine_service

FOREIGN = [{"Name": "/postgres", "State": {"Running": True}, "Config": {"Labels": None}}]


@pytest.fixture(autouse=True)
def docker(monkeypatch):
    monkeypatch.setattr(engine.shutil, "which", lambda *_, **__: "/usr/bin/docker")


class Node:
    """A node with docker: its containers, the packages that are installed, and the state of its service."""

    def __init__(self, containers=(), packages=(), answers=True):
        self.containers = list(containers)
        self.packages = dict.fromkeys(packages, "1")
        self.alive = answers

    def __call__(self, command):
        match command[0].rpartition("/")[2], command[1]:
            case "docker", "--version":
                return 0, "Docker version 28.3.1, build 38b7060", ""
            case "docker", "ps" if not self.alive:
                return 1, "", "failed to connect to the docker API at unix:///var/run/docker.sock"
            case "docker", "ps":
                # A question for containers with some label would not find those of others.
                shown = [] if "--filter" in command else self.containers
                return 0, "\n".join(container["Name"] for container in shown), ""
            case "docker", "inspect":
                return 0, json.dumps(self.containers), ""
            case "docker", "info":
                return 0, "id", ""
            case "systemctl", "show" if "--timestamp=unix" in command:
                return 0, "@1000\n", ""
            case "systemctl", "show":
                return (
                    0,
                    "Id=docker.service\nActiveState=active\nUnitFileState=enabled\nInvocationID=one\n",
                    "",
                )
            case "systemctl", _:
                return 0, "", ""
        raise AssertionError(command)

    def installed(self, names):
        return {name: self.packages[name] for name in names if name in self.packages}


@pytest.fixture
def info(run_module, monkeypatch):
    def call(node, package="docker.io", removing=False):
        monkeypatch.setattr(container_engine_info, "package_manager", lambda run: node)
        return run_module(
            container_engine_info,
            node,
            engine="docker",
            package=package,
            from_distribution=True,
            minimum_version="20.10",
            reason="",
            must_exist=False,
            removing=removing,
        )

    return call


@pytest.mark.parametrize(
    ("there", "wanted", "source"),
    [
        ("docker-ce", "docker.io", "docker"),
        ("docker.io", "docker-ce", "distribution"),
        ("moby-engine", "docker-ce", "distribution"),
    ],
)
def test_an_engine_that_came_from_elsewhere_is_not_replaced(info, there, wanted, source):
    result = info(Node(packages=[there]), package=wanted)
    assert result["failed"]
    assert f"This node has {there} and the description asks for {wanted}" in result["msg"]
    assert f"Set stack.container_engine.source to {source}" in result["msg"]


def test_the_engine_that_was_asked_for_is_fine(info):
    assert not info(Node(packages=["docker-ce"]), package="docker-ce")["failed"]


def test_an_engine_is_kept_when_others_use_it(info):
    stopped = [{"Name": "/backup", "State": {"Running": False}, "Config": {"Labels": {}}}]
    (pending,) = info(Node(FOREIGN + stopped), removing=True)["pending"]
    assert "docker was kept, with its settings, because others need it: backup, postgres" in pending


def test_an_engine_that_does_not_say_who_uses_it_is_kept(info):
    (pending,) = info(Node(FOREIGN, answers=False), removing=True)["pending"]
    assert "does not say which containers it has: it does not answer" in pending


def test_an_engine_that_nobody_uses_may_go(info):
    assert info(Node(), removing=True)["pending"] == []


@pytest.fixture
def service(run_module, monkeypatch, tmp_path):
    monkeypatch.setattr(engine_service, "SECRETS", tmp_path)
    monkeypatch.setattr(engine_service, "write_atomic", lambda path, text, mode: path.write_text(text))

    def call(node):
        return run_module(
            engine_service,
            node,
            engine="docker",
            unit="docker.service",
            config={"before": "{}", "after": '{"data-root": "/big"}', "modified": 0},
            drop_ins=[],
            reloadable=["debug"],
            optional=False,
            going=False,
        )

    return call


def test_containers_of_others_count_before_a_daemon_is_restarted(service):
    result = service(Node(FOREIGN))
    assert result["did"] == []
    assert "ends the containers that run here (postgres)" in result["pending"][0]
    assert "systemctl restart docker.service" not in result["commands"]


def test_a_restart_that_waited_is_made_once_nothing_runs(service):
    node = Node(FOREIGN)
    service(node)
    node.containers = []
    result = service(node)
    assert result["did"] == ["restart"]
    assert "systemctl restart docker.service" in result["commands"]
    assert service(node)["changed"] is False
