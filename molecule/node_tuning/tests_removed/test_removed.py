testinfra_hosts = ["ansible://node1", "ansible://node2"]


def test_the_setting_is_as_it_was(host):
    assert host.sysctl("net.core.somaxconn") == 1024


def test_etc_is_as_it_was(host):
    with host.sudo():
        now = host.check_output(r"find /etc -xdev \( -type f -o -type l \) -not -name ld.so.cache")
        before = host.file("/root/etc.before").content_string
    assert sorted(now.split()) == sorted(before.split())


def test_no_record_is_left(host):
    with host.sudo():
        assert host.check_output("find /var/lib/nimctl -name 'node_tuning*'") == ""
