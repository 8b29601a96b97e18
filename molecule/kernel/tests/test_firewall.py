"""The rank's node. node3 is in the cluster; addresses that it gets here, and the controller, are not."""

import json
import os
import signal
import socket
import time

import pytest

LISTENERS = {"api": 8000, "rendezvous": 29600, "random": 40000, "other": 9000}
NETWORK, ALLOWED, STRANGER = 24, 78, 77
ASK = "for port in %s; do curl -s --interface %s -m 5 -o /dev/null http://%s:$port/ && echo $port; done; true"


def outside(address, last):
    return f"{address.rpartition('.')[0]}.{last}"


def table(node):
    return node.sh("nft --stateless list ruleset")


def reachable(target, port):
    try:
        socket.create_connection((target, port), 5).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module", autouse=True)
def listeners(nodes):
    for name, port in LISTENERS.items():
        nodes["node2"].sh(
            f"systemd-run --quiet --collect --unit=molecule-{name} python3 -m http.server {port}"
        )
    for last in (ALLOWED, STRANGER):
        nodes["node3"].sh(f"ip address add {outside(nodes['node3'].address, last)}/{NETWORK} dev eth0")
    ports = " ".join(map(str, LISTENERS.values()))
    local = f"for port in {ports}; do curl -s -o /dev/null http://127.0.0.1:$port/ || exit 1; done"
    nodes["node2"].wait(local, 60)
    yield
    nodes["node2"].sh("systemctl stop " + " ".join(f"molecule-{name}" for name in LISTENERS))
    for last in (ALLOWED, STRANGER):
        nodes["node3"].sh(f"ip address del {outside(nodes['node3'].address, last)}/{NETWORK} dev eth0")


@pytest.mark.parametrize(
    ("who", "names"),
    [(None, set(LISTENERS)), (ALLOWED, {"api", "other"}), (STRANGER, {"other"})],
    ids=["the cluster", "who may use the API", "somebody else"],
)
def test_who_is_let_in(nodes, who, names):
    one, other = nodes["node2"], nodes["node3"]
    origin = outside(other.address, who) if who else other.address
    ports = " ".join(map(str, LISTENERS.values()))
    found = {int(port) for port in other.sh(ASK % (ports, origin, one.address)).split()}
    assert found == {LISTENERS[name] for name in names}


def test_the_controller_is_outside_as_well_and_has_ssh(nodes):
    found = {name: reachable(nodes["node2"].address, port) for name, port in LISTENERS.items()}
    assert found == {"api": False, "rendezvous": False, "random": False, "other": True}
    assert reachable(nodes["node2"].address, 22)


def converge(ansible, *rules):
    variables = {"molecule_rules": rules, "molecule_confirm": "15s"}
    return ansible("ansible-playbook", "molecule/kernel/firewall.yml", "-e", json.dumps(variables))


def test_rules_that_are_wrong_are_not_loaded_in_part(nodes, ansible):
    before = table(nodes["node2"])
    run = converge(ansible, "tcp dport 9000 drop", "tcp dport nonsense drop")
    out, _ = run.communicate()
    assert run.returncode == 2
    assert "nft does not take the firewall's rules. Nothing was changed." in " ".join(out.split())
    assert table(nodes["node2"]) == before


def test_rules_that_shut_the_controller_out_are_taken_back_although_it_dies(nodes, ansible):
    before, address = table(nodes["node2"]), nodes["node2"].address
    run = converge(ansible, "tcp dport 22 drop")
    until = time.monotonic() + 180
    while reachable(address, 22) and time.monotonic() < until:
        time.sleep(0.5)
    assert not reachable(address, 22)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    until = time.monotonic() + 60
    while not reachable(address, 22) and time.monotonic() < until:
        time.sleep(0.5)
    assert table(nodes["node2"]) == before
