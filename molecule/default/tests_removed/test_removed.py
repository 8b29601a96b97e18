testinfra_hosts = ["ansible://nim_nodes"]


def test_no_rank_is_left(host):
    with host.sudo():
        assert host.check_output("ls /etc/systemd/system | grep -c ^nim- || true") == "0"
        assert host.check_output("systemctl list-units --all --no-legend --plain 'nim-*'") == ""
    assert not host.file("/etc/nimctl").exists


def test_no_container_engine_is_left(host):
    assert not host.exists("podman")
    assert not host.file("/etc/containers/containers.conf.d/50-nimctl.conf").exists


def test_caches_are_gone_because_that_was_asked_for(host):
    for rank in host.ansible.get_variables()["nim_ranks"]:
        for mount in rank["mounts"]:
            assert not host.file(mount["source"]).exists
