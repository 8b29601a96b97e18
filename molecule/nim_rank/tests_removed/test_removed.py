testinfra_hosts = ["ansible://nim_nodes"]


def test_the_rank_is_gone_and_its_cache_stays(host):
    with host.sudo():
        assert not host.service("nim-solo-0-0").is_running
        assert host.check_output("podman ps --all --quiet --filter label=nimctl.cluster") == ""
        assert not host.file("/etc/nimctl").exists
        assert not host.file("/etc/systemd/system/nim-solo-0-0.service").exists
        assert host.check_output("find /etc/systemd/system -name 'nim-solo*'") == ""
    assert host.file("/var/cache/nimctl/solo").is_directory


def test_the_rank_of_another_cluster_still_runs(host):
    assert host.service("nim-theirs-0-0").is_running
