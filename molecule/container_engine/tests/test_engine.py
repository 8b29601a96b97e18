import json

import pytest

testinfra_hosts = ["ansible://node1", "ansible://node2"]


def engine(host):
    return {"node1": "podman", "node2": "docker"}[host.backend.get_hostname()]


@pytest.fixture
def docker(host):
    if engine(host) != "docker":
        pytest.skip("this node has podman")
    return host


@pytest.fixture
def podman(host):
    if engine(host) != "podman":
        pytest.skip("this node has docker")
    return host


def test_the_engine_answers(host):
    with host.sudo():
        assert host.run(f"{engine(host)} info").rc == 0


def test_only_the_engine_that_was_asked_for_is_there(host):
    other = {"podman": "docker", "docker": "podman"}[engine(host)]
    assert not host.exists(other)


def test_the_service_runs_and_starts_with_the_node(docker):
    assert docker.service("docker").is_running
    assert docker.service("docker").is_enabled


def test_what_the_site_had_in_daemon_json_is_still_there(docker):
    document = json.loads(docker.file("/etc/docker/daemon.json").content_string)
    assert document["max-concurrent-downloads"] == 5
    assert document["live-restore"] is True
    assert document["log-opts"] == {"max-size": "20m", "max-file": "5"}
    assert document["runtimes"]["extra"] == {"path": "/usr/sbin/runc"}
    # The lab's nodes come with settings of their own where their machine needs them.
    if len(document["runtimes"]) > 1:
        assert document["default-runtime"] == "lab"
        assert document["runtimes"]["lab"]["path"] == "/usr/local/sbin/runc-lab"


def test_the_daemon_runs_with_it(docker):
    with docker.sudo():
        info = json.loads(docker.check_output("docker info --format '{{json .}}'"))
    assert info["LiveRestoreEnabled"] is True
    assert info["LoggingDriver"] == "json-file"
    assert info["HttpProxy"] == "http://proxy.example.org:3128"
    assert info["NoProxy"] == "localhost,10.0.0.0/8"


def test_docker_trusts_the_authority_of_the_registry(docker):
    found = docker.run("ls /etc/docker/certs.d/*/nimctl.crt")
    assert len(found.stdout.split()) == 1


def test_podman_runs_with_its_drop_in(podman):
    with podman.sudo():
        text = podman.file("/etc/containers/containers.conf.d/50-nimctl.conf").content_string
        info = json.loads(podman.check_output("podman info --format json"))
    assert "log_size_max = 20971520" in text
    assert '"HTTP_PROXY=http://proxy.example.org:3128"' in text
    assert info["host"]["ociRuntime"]["name"] in {"lab", "crun", "runc"}


def test_podman_trusts_the_authority_of_the_registry(podman):
    found = podman.run("ls /etc/containers/certs.d/*/nimctl.crt")
    assert len(found.stdout.split()) == 1
