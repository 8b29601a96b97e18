testinfra_hosts = ["ansible://node1", "ansible://node2"]


def test_nothing_of_the_toolkit_is_left(host):
    with host.sudo():
        assert not host.package("nvidia-container-toolkit-base").is_installed
        assert not host.file("/var/run/cdi/nvidia.yaml").exists
        assert host.check_output("apt-mark showhold") == ""
        found = host.check_output(
            "find /etc/apt /etc/systemd /etc/cdi -name '*nimctl*container*' 2>/dev/null; true"
        )
        assert found == ""
        assert host.check_output("find /var/lib/nimctl -name 'nvidia_container_toolkit*'") == ""


def test_the_hook_is_back(host):
    assert host.file("/usr/share/containers/oci/hooks.d/oci-nvidia-hook.json").exists
