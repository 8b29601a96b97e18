testinfra_hosts = ["ansible://node1"]


def test_no_package_and_no_module_is_left(host):
    with host.sudo():
        found = host.check_output("dpkg-query --show --showformat '${Package} ${db:Status-Status}\\n'")
        left = [line.split()[0] for line in found.splitlines() if line.endswith(" installed")]
        assert not [name for name in left if "nvidia" in name or name in {"dkms", "libcuda1"}]
        assert host.check_output("apt-mark showhold") == ""
        assert host.check_output("find /lib/modules -name 'nvidia*.ko*'") == ""
        assert host.check_output("find /var/lib/nimctl -type f -name 'nvidia*'") == ""
