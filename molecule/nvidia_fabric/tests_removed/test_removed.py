import pytest

testinfra_hosts = ["ansible://node1", "ansible://node2"]


@pytest.fixture
def root(host):
    with host.sudo():
        yield host


def test_no_package_is_left(root):
    found = root.check_output("dpkg-query --show --showformat '${Package} ${db:Status-Status}\\n'")
    left = [line.split()[0] for line in found.splitlines() if line.endswith(" installed")]
    assert not [
        name for name in left if "nvidia" in name or name in {"libnvsdm", "nvlsm", "infiniband-diags"}
    ]
    assert root.check_output("apt-mark showhold") == ""


def test_no_file_of_ours_is_left(root):
    assert root.check_output("find /etc -name '*nimctl*nvidia*'") == ""
    assert root.check_output("find /var/lib/nimctl -type f -name 'nvidia*'") == ""
    assert root.check_output("find /etc/systemd/system -name 'nvidia-*'") == ""
