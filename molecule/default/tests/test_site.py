import json

testinfra_hosts = ["ansible://nim_nodes"]


def ranks(host):
    return host.ansible.get_variables()["nim_ranks"]


def test_every_rank_runs_as_a_unit_that_starts_with_the_node(host):
    assert ranks(host)
    for rank in ranks(host):
        service = host.service(f"nim-{rank['name']}")
        assert service.is_running
        assert service.is_enabled


def test_every_container_says_what_it_is(host):
    cluster = host.ansible.get_variables()["nim_cluster"]
    for rank in ranks(host):
        with host.sudo():
            (found,) = json.loads(host.check_output(f"podman inspect nim-{rank['name']}"))
        labels = found["Config"]["Labels"]
        assert labels["nimctl.cluster"] == cluster
        assert labels["nimctl.deployment"] == rank["deployment"]
        assert labels["nimctl.replica"] == str(rank["replica"])
        assert labels["nimctl.rank"] == str(rank["rank"])
        assert labels["nimctl.spec"] == rank["spec"]


def test_the_leader_answers_and_a_worker_does_not(host):
    for rank in ranks(host):
        found = host.run(f"curl -sf -m 5 http://127.0.0.1:{rank['ports'].get('api', 8000)}/v1/models")
        assert (found.rc == 0) is (rank["rank"] == 0)


def test_the_log_of_a_rank_is_in_its_unit(host):
    for rank in ranks(host):
        unit = f"nim-{rank['name']}"
        with host.sudo():
            assert host.check_output(f"journalctl -u {unit} -t {unit} -o cat -n 5")


def test_no_secret_is_here_because_no_rank_needs_one(host):
    with host.sudo():
        assert not host.file("/etc/nimctl/secrets").exists
        assert host.check_output("find /run/nimctl -name config.json") == ""


def test_caches_belong_to_the_ranks_user(host):
    for rank in ranks(host):
        for mount in rank["mounts"]:
            if mount["owner"] is not None:
                with host.sudo():
                    assert host.file(mount["source"]).uid == mount["owner"]


def test_the_lease_was_given_back_and_the_history_kept(host):
    cluster = host.ansible.get_variables()["nim_cluster"]
    assert not host.file(f"/var/lib/nimctl/{cluster}/lease.json").exists
    with host.sudo():
        last = json.loads(host.check_output(f"tail -n 1 /var/lib/nimctl/{cluster}/history.jsonl"))
    assert last["ended"] >= last["began"]
    assert "@" in last["owner"]
