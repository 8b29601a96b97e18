testinfra_hosts = ["ansible://node1", "ansible://node2"]


def test_nothing_of_gpu_direct_is_left(host):
    with host.sudo():
        assert not host.package("nvidia-fs").is_installed
        assert host.check_output("apt-mark showhold") == ""
        assert (
            host.check_output(
                "find /etc/modules-load.d /etc/apt -name '*nimctl-gpu*' -o -name 'nimctl-nvidia*'"
            )
            == ""
        )
        assert host.check_output("find /var/lib/nimctl -name 'gpu_direct*'") == ""


def test_the_configuration_is_as_it_was_with_its_comments(host):
    text = host.file("/etc/cufile.json").content_string
    assert "// NOTE" in text
    assert '"allow_compat_mode": true' in text
