testinfra_hosts = ["ansible://node1", "ansible://node2"]


def test_packages_are_those_of_before(host):
    with host.sudo():
        now = host.check_output(r"dpkg-query --show --showformat='${Package}\n'").split()
        before = host.file("/root/packages.before").content_string.split()
    assert sorted(now) == sorted(before)


def test_no_file_of_ours_is_left(host):
    with host.sudo():
        assert host.check_output("find /etc -name '*nimctl-rdma*' -o -name 'nimctl-rxe*'") == ""
        assert host.check_output("find /var/lib/nimctl -name 'rdma*'") == ""
