testinfra_hosts = ["ansible://node1", "ansible://node2"]


def test_nothing_of_nccl_is_left(host):
    with host.sudo():
        assert not host.package("libnccl2").is_installed
        assert not host.package("nccl-tests").is_installed
        assert host.check_output("apt-mark showhold") == ""
        assert not host.file("/etc/nimctl/nccl-topology.xml").exists
        assert host.check_output("find /var/lib/nimctl -name 'nccl*'") == ""


def test_what_somebody_else_had_configured_is_back(host):
    file = host.file("/etc/nccl.conf")
    if host.backend.get_hostname() == "node2":
        assert file.content_string == "NCCL_IB_PCI_RELAXED_ORDERING=1\n"
    else:
        assert not file.exists
