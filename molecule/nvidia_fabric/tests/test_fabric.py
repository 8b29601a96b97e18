"""Boards with NVLink 5; the second node is in an NVLink domain of several nodes as well."""

import pytest

testinfra_hosts = ["ansible://node1", "ansible://node2"]
VERSION = "580.126.20-1"
MANAGER, IMEX = "nvidia-fabricmanager", "nvidia-imex"


@pytest.fixture
def root(host):
    with host.sudo():
        yield host


def units(host):
    return (MANAGER, IMEX) if host.backend.get_hostname() == "node2" else (MANAGER,)


def test_what_carries_the_version_of_the_driver_has_that_of_the_loaded_one(root):
    tied = [*units(root), "libnvsdm"]
    assert {name: root.package(name).version for name in tied} == dict.fromkeys(tied, VERSION)
    assert set(tied) <= set(root.check_output("apt-mark showhold").split())
    assert root.package(IMEX).is_installed == (IMEX in units(root))


def test_the_subnet_manager_is_there_with_what_it_needs(host):
    for name in ("nvlsm", "infiniband-diags", "libibumad3"):
        assert host.package(name).is_installed
    assert not host.package("libnvidia-nscq").is_installed, "that is for switches on the PCI bus"


def test_modules_are_loaded_at_boot(host):
    lines = host.file("/etc/modules-load.d/50-nimctl-nvidia_fabric.conf").content_string.splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["mlx5_core", "ib_umad"]
    options = host.check_output("cat /etc/modprobe.d/*; true")
    assert ("options nvidia NVreg_CreateImexChannel0=1" in options) == (IMEX in units(host))


def test_services_are_enabled_and_skipped_where_there_is_no_device(host):
    for unit in units(host):
        assert host.service(unit).is_enabled
        assert not host.service(unit).is_running
        assert host.check_output(f"systemctl show -P Result {unit}") == "success"
        assert host.check_output(f"systemctl show -P ConditionResult {unit}") == "no"


def test_fabric_manager_starts_where_a_port_manages_nvlink(root):
    root.check_output("mkdir -p /dev/infiniband && touch /dev/infiniband/umad0")
    try:
        root.check_output(f"systemctl start {MANAGER}")
        assert root.service(MANAGER).is_running
    finally:
        root.check_output(f"rm /dev/infiniband/umad0; rmdir /dev/infiniband; systemctl stop {MANAGER}")
