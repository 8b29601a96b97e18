import json
import re
from pathlib import Path

import pytest

testinfra_hosts = ["ansible://nim_nodes"]
ODD = "two  words 'single' \"double\" $HOME %h #no \\n; =end "


@pytest.fixture
def rank_environment(host):
    with host.sudo():
        (container,) = json.loads(host.check_output("podman inspect nim-solo-0-0"))
        text = host.check_output(f"cat /proc/{container['State']['Pid']}/environ")
    return dict(entry.split("=", 1) for entry in text.split("\0") if entry)


def key(host):
    return Path(host.ansible.get_variables()["nim_secrets"]["ngc_api_key"]["file"]).read_text().strip()


def test_the_rank_runs_and_starts_with_the_node(host):
    assert host.service("nim-solo-0-0").is_running
    # Its supervisor starts it, never a boot by itself.
    assert host.run("systemctl is-enabled nim-solo-0-0").stdout.strip() == "static"
    supervisor = host.service("nimctl-supervise-solo-0-0")
    assert supervisor.is_running
    assert supervisor.is_enabled


def test_values_reach_the_rank_as_they_are(rank_environment):
    assert rank_environment["ODD"] == ODD


def test_a_rank_gets_the_secret_it_needs(host, rank_environment):
    assert rank_environment["NGC_API_KEY"] == key(host)


def test_the_secret_is_for_root_alone(host):
    cluster = host.ansible.get_variables()["nim_cluster"]
    with host.sudo():
        file = host.file(f"/etc/nimctl/secrets/{cluster}/NGC_API_KEY.env")
        assert (file.mode, file.user) == (0o600, "root")
        assert host.file("/etc/nimctl/secrets").mode == 0o700
        assert host.check_output("grep -rlF -- NGC_API_KEY= /etc /run/systemd /var/lib/nimctl") == file.path
        # The whole command line of every process, and what the journal has of runs.
        assert key(host) not in host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
        assert key(host) not in host.check_output("journalctl --no-pager -o cat | tr -cd '[:print:]\\n'")


def test_the_login_left_nothing(host):
    with host.sudo():
        assert host.check_output("find / -xdev -name config.json -path '*pull-*' -not -path '/proc/*'") == ""
        assert not host.file("/root/.docker/config.json").exists
        assert not host.file("/run/containers/0/auth.json").exists


def test_the_cache_belongs_to_the_user_of_the_rank(host):
    folder = host.file("/var/cache/nimctl/solo")
    assert (folder.uid, folder.is_directory) == (1000, True)


def test_the_rank_that_nobody_wants_is_gone(host):
    with host.sudo():
        assert not host.file("/etc/systemd/system/nim-gone-0-0.service").exists
        assert not host.service("nim-gone-0-0").is_running


def test_the_rank_of_another_cluster_is_left_alone(host):
    assert host.service("nim-theirs-0-0").is_running


def test_the_unit_is_well_formed(host):
    with host.sudo():
        found = host.run(
            "systemd-analyze verify /etc/systemd/system/nim-solo-0-0.service "
            "/etc/systemd/system/nimctl-supervise-solo-0-0.service"
        )
    assert not re.search(r"solo-0-0\.service:", found.stderr)


def test_a_rank_that_ends_is_started_again_by_its_supervisor(host):
    with host.sudo():
        before = host.check_output("systemctl show -P InvocationID nim-solo-0-0")
        host.check_output("podman kill nim-solo-0-0")
        again = host.run(
            "for _ in $(seq 60); do"
            "  now=$(systemctl show -P InvocationID nim-solo-0-0);"
            f'  [ -n "$now" ] && [ "$now" != {before} ]'
            '  && grep -q \'"state": "serving"\' /var/lib/nimctl/*/replicas/solo-0-0.json && exit 0;'
            "  sleep 1; done; exit 1"
        )
        assert again.rc == 0, host.check_output("journalctl --no-pager -n 30 -u nimctl-supervise-solo-0-0")
