import pytest

testinfra_hosts = ["ansible://node1", "ansible://node2"]
VERSIONS = {"node1": "2.27.5-1+cuda12.9", "node2": "2.30.7-1+cuda13.0"}


@pytest.fixture
def root(host):
    with host.sudo():
        yield host


def name(host):
    return host.backend.get_hostname()


def test_the_library_is_of_the_version_asked_for_or_the_newest_and_held(root):
    assert root.package("libnccl2").version == VERSIONS[name(root)]
    assert "libnccl2" in root.check_output("apt-mark showhold").split()
    assert "libnccl2" not in root.check_output("apt-get --simulate --quiet=2 upgrade")


def test_the_test_comes_from_the_mirror(root):
    assert root.package("nccl-tests").is_installed == (name(root) == "node2")


def test_the_settings_are_those_of_the_fabric(root):
    lines = root.file("/etc/nccl.conf").content_string.splitlines()
    found = [line for line in lines if not line.startswith("#")]
    topology = ["NCCL_TOPO_FILE=/etc/nimctl/nccl-topology.xml"] if name(root) == "node1" else []
    assert found == ["NCCL_IB_HCA==mlx5_0:1,mlx5_3:1", "NCCL_SOCKET_IFNAME==ib0", *topology]


def test_the_topology_is_there_where_it_is_named(root):
    file = root.file("/etc/nimctl/nccl-topology.xml")
    assert file.exists == (name(root) == "node1")
