from __future__ import annotations

import json
import os
import stat

import pytest

from nimctl.errors import NimctlError
from nimctl.lab import containers
from nimctl.lab.containers import Containers, detect
from nimctl.lab.machine import Machine
from nimctl.lab.tarball import File

POOR = Machine(cgroup_v2=False, may_raise_limits=False, max_files=20000, max_processes=32768)

RECORDER = """#!/bin/sh
printf '%s\\n' "$@" --end >> "$(dirname "$0")/calls"
case "$1 $2" in
  "info --format") exit ${DOCKER_DOWN:-0};;
esac
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A folder of programs that only write down how they were called; nothing else is found."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    real = containers.shutil.which

    def which(program, path=None):
        return real(program, path=path or str(tmp_path))

    monkeypatch.setattr(containers.shutil, "which", which)
    monkeypatch.setattr(containers, "root_prefix", lambda: ())

    def install(program):
        file = tmp_path / program
        file.write_text(RECORDER)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file

    return install


def calls(folder):
    text = (folder / "calls").read_text()
    return [call.splitlines() for call in text.split("--end\n") if call]


def test_podman_is_preferred_and_told_where_to_keep_temporary_files(fake, tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "read_probe", lambda text: POOR)
    fake("podman")
    fake("docker")
    fake("runc")
    engine = detect(tmp_path / "scratch")
    assert engine.kind == "podman"
    assert engine.command == ("podman", "--runtime", "runc")
    assert engine.environment == {"TMPDIR": str(tmp_path / "scratch")}


def test_a_docker_that_answers_is_used(fake, tmp_path):
    fake("docker")
    engine = detect(tmp_path)
    assert (engine.kind, engine.command, engine.machine) == ("docker", ("docker",), None)


def test_a_docker_without_a_daemon_is_explained(fake, tmp_path, monkeypatch):
    fake("docker")
    monkeypatch.setenv("DOCKER_DOWN", "1")
    with pytest.raises(NimctlError, match="daemon does not answer"):
        detect(tmp_path)


def test_without_an_engine_it_says_how_to_get_one(fake, tmp_path):
    with pytest.raises(NimctlError, match="make setup"):
        detect(tmp_path)


def test_limits_are_stated_and_files_put_in_before_the_first_start(fake, tmp_path):
    fake("podman")
    engine = Containers("podman", ("podman",), POOR, os.environ)
    engine.create("box", "image", ["--privileged"], {"/etc/key": File(b"secret", 0o600)}, ["/sbin/init"])
    create, copy = calls(tmp_path)
    assert create == [
        *("create", "--name", "box", "--ulimit=nofile=20000:20000", "--ulimit=nproc=32768:32768"),
        *("--privileged", "image", "/sbin/init"),
    ]
    assert copy == ["cp", "-", "box:/"]
    assert "secret" not in (tmp_path / "calls").read_text()


def test_systemd_in_docker_gets_the_folders_and_signals_it_wants():
    options = Containers("docker", ("docker",), None).node_options()
    assert {"--privileged", "--cgroupns=private", "--tmpfs=/run", "--stop-signal=SIGRTMIN+3"} <= set(options)
    assert Containers("podman", ("podman",), POOR).node_options() == ["--privileged", "--systemd=always"]


@pytest.mark.parametrize(
    "described",
    [
        [{"name": "net", "subnets": [{"subnet": "10.1.2.0/24"}], "labels": {"nimctl.lab": "a"}}],
        [{"Name": "net", "IPAM": {"Config": [{"Subnet": "10.1.2.0/24"}]}, "Labels": {"nimctl.lab": "a"}}],
    ],
    ids=["podman", "docker"],
)
def test_networks_of_both_engines_are_understood(described, monkeypatch):
    def answer(argv, **options):
        done = containers.CompletedProcess(argv, 0, "net\n", "")
        if "inspect" in argv:
            done.stdout = json.dumps(described)
        return done

    monkeypatch.setattr(containers, "run", answer)
    networks = Containers("any", ("engine",), POOR).networks()
    assert str(networks["net"].subnet) == "10.1.2.0/24"
    assert networks["net"].labels == {"nimctl.lab": "a"}
