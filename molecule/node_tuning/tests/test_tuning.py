testinfra_hosts = ["ansible://node1", "ansible://node2"]


def test_a_setting_of_the_nodes_own_is_raised_and_kept(host):
    assert host.sysctl("net.core.somaxconn") == 8192
    assert host.file("/etc/sysctl.d/99-nimctl-node_tuning.conf").content_string.splitlines()[1:] == [
        "net.core.somaxconn = 8192"
    ]


def test_services_may_lock_memory(host):
    text = host.file("/etc/systemd/system.conf.d/50-nimctl.conf").content_string
    assert "DefaultLimitMEMLOCK=infinity:infinity" in text


def test_shared_memory_of_ranks_is_kept(host):
    with host.sudo():
        said = host.run("systemd-analyze cat-config systemd/logind.conf").stdout
    assert "RemoveIPC=no" in said


def test_a_login_is_not_refused_for_limits_that_a_container_cannot_have(host):
    assert not host.file("/etc/security/limits.d/50-nimctl.conf").exists


def test_the_governor_is_set_at_boot_and_skipped_in_a_container(host):
    assert host.service("nimctl-cpu-governor").is_enabled
    with host.sudo():
        shown = host.check_output("systemctl show -p ActiveState,ConditionResult nimctl-cpu-governor")
        assert host.run("systemd-analyze verify nimctl-cpu-governor.service").stderr == ""
    assert "ActiveState=inactive" in shown
