"""The rules on node1: node2 is in the cluster, the machine of the tests, at the lab's gateway, is not."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
testinfra_hosts = ["ansible://node1"]
LISTENERS = {"api": 8400, "rendezvous": 29800, "random": 40000, "other": 9000}
CUT = '{"molecule_rules": ["tcp dport 22 drop"], "molecule_confirm": "%s"}'


def address(host):
    return host.ansible.get_variables()["ansible_host"]


def table(host):
    with host.sudo():
        return host.check_output("nft --stateless list ruleset")


def reachable(target, port):
    try:
        socket.create_connection((target, port), 2).close()
    except OSError:
        return False
    return True


def wait_until(true, seconds):
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.2)
    assert true()


def converge(*words):
    return subprocess.Popen(
        [
            Path(sys.executable).with_name("ansible-playbook"),
            *("-i", os.environ["NIMCTL_MOLECULE_INVENTORY"]),
            ROOT / "molecule/firewall/converge.yml",
            *words,
        ],
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


@pytest.fixture(scope="module", autouse=True)
def listeners(host):
    with host.sudo():
        for name, port in LISTENERS.items():
            host.check_output(
                f"systemd-run --quiet --collect --unit=molecule-{name} python3 -m http.server {port}"
            )
    wait_until(lambda: reachable(address(host), LISTENERS["other"]), 10)
    yield
    with host.sudo():
        host.check_output("systemctl stop " + " ".join(f"molecule-{name}" for name in LISTENERS))


@pytest.mark.parametrize("port", LISTENERS.values())
def test_the_cluster_is_let_in(host, port):
    other = host.get_host("ansible://node2", ansible_inventory=os.environ["NIMCTL_MOLECULE_INVENTORY"])
    assert other.run(f"curl -sS -m 3 -o /dev/null http://{address(host)}:{port}/").rc == 0


def test_others_reach_what_is_not_of_ranks_and_nothing_else(host):
    found = {name: reachable(address(host), port) for name, port in LISTENERS.items()}
    assert found == {"api": False, "rendezvous": False, "random": False, "other": True}
    assert reachable(address(host), 22)


def test_replies_to_the_node_come_back(host):
    # From a random port to the registry's, which is outside of the cluster.
    registry = Path(os.environ["NIMCTL_MOLECULE_INVENTORY"], "cluster.yml").read_text()
    server = registry.partition('- host: "')[2].partition('"')[0]
    assert host.run(f"curl -k -sS -m 3 -o /dev/null https://{server}/v2/").rc == 0


def test_the_rules_are_loaded_at_boot_and_nothing_waits(host):
    (unit,) = [name for name in units(host) if name.endswith(".service")]
    with host.sudo():
        before = table(host)
        host.check_output("nft flush ruleset")
        host.check_output(f"systemctl restart {unit}")
        assert host.service(unit).is_enabled
        assert table(host) == before
        assert host.run("ls /run/nimctl/firewall/*").rc != 0


def units(host):
    with host.sudo():
        return host.check_output("cd /etc/systemd/system && ls -d nimctl-firewall-*").split()


@pytest.mark.slow
def test_a_rule_that_was_changed_by_hand_is_repaired(host):
    before = table(host)
    with host.sudo():
        host.check_output("nft flush chain inet $(nft list tables | awk '/nimctl_/ {print $3}') input")
    assert table(host) != before
    run = converge()
    run.communicate()
    assert run.returncode == 0
    assert table(host) == before


@pytest.mark.slow
def test_rules_that_shut_out_the_controller_are_taken_back(host):
    before = table(host)
    run = converge("-e", CUT % "60s")
    out, _ = run.communicate()
    assert run.returncode == 2
    assert "do not let a fresh connection of the controller in" in out
    assert "restored at once" in out
    assert table(host) == before


@pytest.mark.slow
def test_they_are_taken_back_as_well_if_the_controller_is_gone(host):
    before = table(host)
    run = converge("-e", CUT % "12s")
    wait_until(lambda: not reachable(address(host), 22), 60)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    wait_until(lambda: reachable(address(host), 22), 40)
    assert table(host) == before
    again = converge()
    out, _ = again.communicate()
    assert again.returncode == 0, out
    assert table(host) == before
