testinfra_hosts = ["ansible://node1", "ansible://node2"]


def test_no_package_of_the_driver_is_left(host):
    found = host.check_output("dpkg-query --show --showformat '${Package} ${db:Status-Status}\\n'")
    left = [line for line in found.splitlines() if line.endswith(" installed")]
    assert not [line for line in left if "nvidia" in line or line.startswith(("libcuda1 ", "dkms "))]


def test_nothing_is_held_and_nothing_is_pinned(host):
    with host.sudo():
        assert host.check_output("apt-mark showhold") == ""
        assert host.check_output("find /etc/apt -name '*nimctl-nvidia*'") == ""


def test_no_file_of_ours_is_left(host):
    with host.sudo():
        assert host.check_output("find /etc -name '*nimctl*nvidia*'") == ""
        assert host.check_output("find /var/lib/nimctl -type f -name 'nvidia*'") == ""


def test_no_module_is_left(host):
    with host.sudo():
        assert host.check_output("find /lib/modules -name 'nvidia*.ko'") == ""
        assert host.check_output("find /usr/src -name 'nvidia-*'") == ""
