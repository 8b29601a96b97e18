"""Nodes that are virtual machines: what their containers and their second disks hold."""

from __future__ import annotations

import io
import tarfile
from ipaddress import IPv4Network

import pytest

from nimctl.errors import NimctlError
from nimctl.lab import faults, inside, shell, vm
from nimctl.lab.apt import Sources
from nimctl.lab.containers import Container
from nimctl.lab.inside import Inside
from nimctl.lab.keys import Keys
from nimctl.lab.names import Names
from nimctl.lab.status import Field

SOURCES = Sources("http://mirror.example/debian", "http://mirror.example/security", (), ())


@pytest.fixture
def keys(tmp_path):
    made = Keys(tmp_path / ".lab")
    made.prepare(["node1"], "10.89.70.2")
    return made


def container(state: str = "running") -> Container:
    labels = {inside.DRIVER: "vm", inside.NODE: "node1", inside.ADDRESS: "10.89.70.11"}
    return Container("nimctl-lab-node1", state, labels)


def field(state: str = "running", inventory: str = "/srv/inv") -> Field:
    lab = Inside({"node1": container(state)}, None, IPv4Network("10.89.70.0/24"), inventory, ())
    return Field(lambda *a, **k: None, Names("lab"), lab)


def seed(keys, gpus: int = 0) -> tarfile.TarFile:
    files = vm.files(
        keys.host_key("node1"),
        keys.ssh_key.with_suffix(".pub"),
        "node1",
        "10.89.70.11",
        IPv4Network("10.89.70.0/24"),
        gpus,
    )
    (disk,) = files.values()
    assert len(disk.content) % 512 == 0, "a disk has whole sectors"
    assert disk.mode == 0o600, "it holds the host key"
    return tarfile.open(fileobj=io.BytesIO(disk.content))


def test_the_machine_gets_its_address_name_server_and_keys_from_its_second_disk(keys):
    archive = seed(keys)
    text = {member.name: archive.extractfile(member).read().decode() for member in archive.getmembers()}
    assert "Address=10.89.70.11/24\nGateway=10.89.70.1" in text["etc/systemd/network/10-lab.network"]
    assert "nameserver 10.89.70.1" in text["etc/resolv.conf"]
    assert text["etc/ssh/authorized_keys/ops"] == keys.ssh_key.with_suffix(".pub").read_text()
    assert "PRIVATE KEY" in text["etc/ssh/ssh_host_ed25519_key"]


def test_it_has_a_kernel_of_its_own_so_its_engines_need_no_help(keys):
    assert not any("runc" in member.name for member in seed(keys).getmembers())


def test_its_machine_id_is_told_to_the_kernel(keys):
    options = vm.options(keys.host_key("node1"), "node1", "10.89.70.11")
    archive = seed(keys)
    told = archive.extractfile("etc/machine-id").read().decode().strip()
    assert f"--env=MACHINE_ID={told}" in options
    assert "--env=MAC=02:00:0a:59:46:0b" in options


def test_only_where_the_images_run_is_it_offered(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(NimctlError, match="x86_64 only; this machine is aarch64"):
        vm.recipe(SOURCES)


def test_what_roles_install_is_at_hand(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    recipe = vm.recipe(SOURCES)
    assert {"nfs-kernel-server", "rdma-core"} <= set(dict(recipe.variables)["CACHED_PACKAGES"].split())
    assert "nfs-kernel-server" not in dict(recipe.variables)["GUEST_PACKAGES"], "the role installs it"


def test_a_disk_lies_on_a_volume_of_its_own():
    assert Names("lab").volumes("node1", "vm") == {"/vm/state": "nimctl-lab-node1-disk"}


def test_one_goes_in_by_ssh_with_the_labs_keys(monkeypatch):
    monkeypatch.setattr(shell, "existing", lambda name: field())
    argv = shell.argv("lab", "node1", ["echo", "two words"], terminal=False)
    assert argv[0] == "ssh"
    assert argv[-3:] == ["root@10.89.70.11", "echo", "'two words'"]
    assert "UserKnownHostsFile=/srv/inv/.lab/known_hosts" in argv


def test_a_frozen_node_shows_as_frozen_and_is_not_asked(monkeypatch):
    def asked(*arguments, **options):
        raise AssertionError("a frozen node does not answer")

    monkeypatch.setattr(faults, "run", asked)
    assert field("paused").in_force() == {"node1": ("freeze",)}


def test_a_lab_of_machines_stays_one():
    assert field().lab.driver == "vm"
