testinfra_hosts = ["ansible://nim_nodes"]


def test_nothing_is_left(host):
    with host.sudo():
        found = host.check_output("find /etc /run/systemd -name '*nimctl*' -not -name '*nimctl-lab*'")
        assert found == ""
        assert host.check_output("find /etc/systemd/system -name 'models.*'") == ""
        assert host.check_output("find /var/lib/nimctl -name 'storage_nfs*'") == ""
    assert not host.file("/models").exists
    assert not host.package("nfs-common").is_installed
    assert not host.package("nfs-kernel-server").is_installed
