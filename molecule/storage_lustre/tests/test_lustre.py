import re

import pytest
import yaml

testinfra_hosts = ["ansible://node1", "ansible://node2"]
VERSIONS = {"node1": "2.17.0-1", "node2": "2.16.1-1"}
MODULES = {"node1": "lustre-client-modules-6.8.0-85-generic", "node2": "lustre-client-modules-dkms"}


@pytest.fixture
def root(host):
    with host.sudo():
        yield host


def name(host):
    return host.backend.get_hostname()


def test_programs_and_modules_are_of_one_version_and_held(root):
    packages = ["lustre-client-utils", MODULES[name(root)]]
    assert {root.package(each).version for each in packages} == {VERSIONS[name(root)]}
    assert set(packages) <= set(root.check_output("apt-mark showhold").split())
    assert "lustre" not in root.check_output("apt-get --simulate --quiet=2 upgrade")


def test_lnet_uses_the_fabric_for_rdma_and_the_servers_network_for_tcp(root):
    (net,) = yaml.safe_load(root.file("/etc/lnet.conf").content_string)["net"]
    assert net["net type"] == {"node1": "o2ib", "node2": "tcp"}[name(root)]
    (local,) = net["local NI(s)"]
    assert local["interfaces"] == {0: {"node1": "ib0", "node2": "eth0"}[name(root)]}


def test_lnet_and_the_mount_start_with_the_node(root):
    mount = {"node1": "lustre.automount", "node2": "lustre.mount"}[name(root)]
    assert root.check_output(f"systemctl is-enabled lnet.service {mount}").split() == ["enabled"] * 2
    assert root.file("/etc/systemd/system/lustre.automount").exists == (name(root) == "node1")
    found = root.run(f"systemd-analyze verify /etc/systemd/system/{mount}")
    assert not re.search(r"lustre\.(auto)?mount:", found.stderr)


def test_the_mount_is_as_described_and_waits_for_lnet(root):
    shown = root.check_output("systemctl show -p What,Options,Requires,After lustre.mount")
    told = dict(line.split("=", 1) for line in shown.splitlines())
    assert "lnet.service" in told["Requires"].split()
    assert "lnet.service" in told["After"].split()
    text = root.file("/etc/systemd/system/lustre.mount").content_string
    if name(root) == "node1":
        assert "What=10.22.0.10@o2ib:10.22.0.11@o2ib:/scratch\n" in text
        assert "Options=_netdev,flock\n" in text
    else:
        assert re.search(r"^What=[0-9.]+@tcp:/scratch$", text, re.MULTILINE)
        assert "Options=_netdev,flock,noatime\n" in text


def test_modules_are_loaded_at_boot(root):
    text = root.file("/etc/modules-load.d/50-nimctl-storage_lustre.conf").content_string
    assert [line for line in text.splitlines() if not line.startswith("#")] == ["lnet", "lustre"]


def test_lnet_runs_with_its_configuration_and_waits_for_the_first_use(root):
    # One node is taken for the machine whose hardware it has been given; the other is known as a container.
    imported = root.file("/run/lnet.imported")
    if name(root) == "node1":
        assert root.service("lnet").is_running
        assert imported.content_string == root.file("/etc/lnet.conf").content_string
        assert root.mount_point("/lustre").filesystem == "autofs"
    else:
        assert not root.service("lnet").is_running
        assert not imported.exists
        assert not root.mount_point("/lustre").exists
