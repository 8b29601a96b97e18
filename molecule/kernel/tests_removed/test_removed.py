"""What is left of it: nothing that works, and no file of ours."""

import pytest

testinfra_hosts = ["ansible://nim_nodes"]


@pytest.fixture
def root(host):
    with host.sudo():
        yield host


def is_rank(host):
    return host.backend.get_hostname() == "node2"


def test_nothing_is_mounted_or_exported(root):
    assert " /models " not in root.check_output("cat /proc/self/mountinfo")
    assert not root.file("/models").exists
    assert root.run("systemctl is-active nfs-server").stdout.strip() != "active"


def test_soft_roce_is_gone(root):
    assert "rxe" not in root.check_output("rdma link show")
    assert "rdma_rxe" not in root.check_output("cut -d' ' -f1 /proc/modules").split()


def test_no_rule_is_left(root):
    assert "nimctl" not in root.check_output("nft list tables")


def test_no_file_of_ours_is_left(root):
    left = "find /etc /run/systemd /usr/local -name '*nimctl*' -not -name '*nimctl-lab*'"
    assert root.check_output(left) == ""
    assert root.check_output("find /etc/systemd/system -name 'models.*'") == ""


def test_settings_are_as_they_were(root):
    if is_rank(root):
        assert (
            root.check_output("sysctl --values net.core.somaxconn")
            == root.file("/root/somaxconn.before").content_string.strip()
        )


def test_packages_are_those_of_before(root):
    now = root.check_output("dpkg-query --show --showformat='${Package}\\n'").split()
    assert sorted(now) == sorted(root.file("/root/packages.before").content_string.split())
