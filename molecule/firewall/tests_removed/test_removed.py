testinfra_hosts = ["ansible://node1"]


def test_nothing_is_left(host):
    with host.sudo():
        assert "nimctl" not in host.check_output("nft list tables")
        assert host.check_output("find /etc /run -name '*nimctl*firewall*'") == ""
        assert not host.file("/etc/nimctl/firewall").exists
        assert host.check_output("find /var/lib/nimctl -name 'firewall*'") == ""
        assert host.check_output("systemctl list-units --all --no-legend 'nimctl-firewall*'") == ""


def test_a_package_that_was_there_before_stays(host):
    assert host.package("nftables").is_installed
