testinfra_hosts = ["ansible://node1", "ansible://node2"]


def test_nothing_of_lustre_is_left(host):
    with host.sudo():
        assert host.check_output("dpkg-query --show 'lustre*' 2>/dev/null; true") == ""
        assert host.check_output("apt-mark showhold") == ""
        assert not host.file("/run/lnet.imported").exists
        assert not host.mount_point("/lustre").exists
        assert host.check_output("find /etc -name '*lustre*'") == ""
        assert host.check_output("find /var/lib/nimctl -name '*lustre*'") == ""


def test_what_somebody_else_had_configured_is_back(host):
    with host.sudo():
        file = host.file("/etc/lnet.conf")
        if host.backend.get_hostname() == "node2":
            assert file.content_string == "# theirs\n"
            assert file.mode == 0o600
        else:
            assert not file.exists
