"""The text of the rules, and which ports of SSH stay open."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.firewall import (
    Wanted,
    resolved,
    rules,
    ssh_ports,
    table_of,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.host import firewall as probed
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

WANTED = Wanted(
    inside=("10.0.0.0/24", "10.0.0.11", "fd00::/64"),
    closed=("29500", "6379"),
    random=("32768-60999",),
    api=("8000",),
    api_allow=("192.0.2.0/24",),
    open=("22", "40022"),
)


def chain(wanted):
    text = rules("nimctl_a", wanted).partition("chain input {")[2]
    return [line.strip() for line in text.splitlines() if line.strip() not in ("", "}")]


def test_a_table_has_a_name_that_nft_takes():
    assert table_of("prod-2") == "nimctl_prod_2"


def test_replies_and_the_own_node_come_first_and_drops_last():
    lines = chain(WANTED)
    assert lines[1:3] == ['iifname "lo" accept', "ct state established,related accept"]
    assert [line.endswith("drop") for line in lines] == [False] * (len(lines) - 2) + [True, True]


def test_everything_else_is_let_in():
    assert "policy accept" in chain(WANTED)[0]


def test_ssh_is_let_in_before_anything_is_dropped():
    lines = chain(WANTED)
    assert lines.index("tcp dport @open accept") < lines.index(
        "tcp flags & (fin | syn | rst | ack) == syn tcp dport @closed_tcp counter drop"
    )


def test_the_api_is_open_to_everybody_unless_some_are_named():
    assert "tcp dport @api accept" in chain(Wanted(inside=("10.0.0.1",), api=("8000",)))
    assert "tcp dport @api accept" not in chain(WANTED)
    assert "ip saddr @api_allow4 tcp dport @api accept" in chain(WANTED)


def test_udp_is_closed_for_the_ports_of_ranks_alone():
    text = rules("t", WANTED)
    closed = text.partition("set closed {")[2].partition("}")[0]
    assert "32768-60999" not in closed
    assert "29500" in closed


def test_further_rules_come_before_the_cluster_is_let_in():
    lines = chain(Wanted(inside=("10.0.0.1",), rules=("tcp dport 22 drop",)))
    assert lines.index("tcp dport 22 drop") < lines.index("ip saddr @inside4 accept")


def test_names_become_addresses_and_an_unknown_one_is_refused():
    assert resolved(["10.0.0.2", "10.0.0.1", "10.1.0.7/16"]) == ("10.0.0.1/32", "10.0.0.2/32", "10.1.0.0/16")
    with pytest.raises(NodeError, match=r"no address for no\.invalid"):
        resolved(["no.invalid"])


def process(proc, pid, parent, comm="sh", environ="", sockets=()):
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} ({comm} x) S {parent} 1 1")
    (folder / "comm").write_text(f"{comm}\n")
    (folder / "environ").write_text(environ)
    for number, inode in enumerate(sockets):
        (folder / "fd" / str(number)).symlink_to(f"socket:[{inode}]")


def test_the_port_of_this_connection_and_those_of_sshd_are_ssh(tmp_path):
    process(tmp_path, 1, 0, "systemd")
    process(tmp_path, 5, 1, "sshd", sockets=(77, 78))
    process(tmp_path, 6, 5, environ="A=b\0SSH_CONNECTION=10.0.0.9 5000 10.0.0.1 40022\0")
    process(tmp_path, 7, 6, "sudo")
    (tmp_path / "self").symlink_to(tmp_path / "7")
    (tmp_path / "7" / "net").mkdir()
    line = "0: 00000000:{port:04X} 00000000:0000 {state} 0:0 0:0 0 0 0 {inode} 1"
    rows = [
        line.format(port=port, state=state, inode=inode)
        for port, state, inode in ((2222, "0A", 77), (50000, "01", 78), (8000, "0A", 99))
    ]
    (tmp_path / "7" / "net" / "tcp").write_text("\n".join(["head", *rows]))
    assert ssh_ports(tmp_path) == (22, 2222, 40022)


@pytest.mark.skipif(
    os.geteuid() != 0 or not (shutil.which("nft") and shutil.which("ip")), reason="needs root and nft"
)
def test_nft_takes_the_rules_and_they_do_what_they_say():
    """In a network of its own: from 10.9.0.1 in the cluster, and from 10.9.1.1 outside of it."""
    wanted = Wanted(
        inside=("10.9.0.1",),
        closed=("29500",),
        random=("32768-60999",),
        api=("8000",),
        api_allow=("10.9.2.0/24",),
        open=("40022",),
    )
    done = subprocess.run(
        ["unshare", "--net", sys.executable, str(Path(__file__).with_name("firewall_network.py"))],
        input=rules("nimctl_t", wanted),
        capture_output=True,
        text=True,
        check=True,
    )
    found = {}
    for line in done.stdout.splitlines():
        source, port, state = line.split()
        found.setdefault(source, {})[int(port)] = state
    everything = (29500, 40000, 40022, 8000, 9000)
    assert found["10.9.0.1"] == dict.fromkeys(everything, "open")
    assert [port for port in everything if found["10.9.1.1"][port] == "open"] == [40022, 9000]
    assert [port for port in everything if found["10.9.2.1"][port] == "open"] == [40022, 8000, 9000]


def test_a_name_that_this_machine_knows_is_resolved():
    assert socket.gethostbyname("localhost") + "/32" in resolved(["localhost"])


def test_what_rules_were_made_from_is_found_again_by_the_probe(tmp_path):
    folder = tmp_path / "etc/nimctl/firewall"
    folder.mkdir(parents=True)
    marked = Wanted(inside=("10.0.0.1",), closed=("29500",), mark="0123abcd")
    (folder / "prod-2.nft").write_text(rules("nimctl_prod_2", marked))
    (folder / "old.nft").write_text(rules("nimctl_old", WANTED))
    assert probed.read(Tree(str(tmp_path))) == {"old": "", "prod-2": "0123abcd"}
