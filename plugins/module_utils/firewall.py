"""The rules of a cluster's ranks, as text for nft, and which ports SSH has on this node."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.host.firewall import MARK

PROC = Path("/proc")
SSH = 22


@dataclass(frozen=True)
class Wanted:
    """What is open to whom. Networks are addresses or CIDR; ports are ``8000`` or ``32768-60999``.

    ``inside`` is the cluster. ``closed`` is for it alone; ``random`` as well, but by TCP only. ``api`` is for
    it and ``api_allow``, or for everybody where that is empty. ``open`` is nobody's business here. ``mark``
    says what all of it was made from.
    """

    inside: tuple[str, ...]
    closed: tuple[str, ...] = ()
    random: tuple[str, ...] = ()
    api: tuple[str, ...] = ()
    api_allow: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    mark: str = ""


def table_of(cluster: str) -> str:
    """The table of a cluster, a name that nft takes."""
    return "nimctl_" + re.sub(r"[^A-Za-z0-9_]", "_", cluster)


def removal(table: str) -> str:
    """Takes a table away, also where there is none."""
    return f"table inet {table}\ndelete table inet {table}\n"


def rules(table: str, wanted: Wanted) -> str:
    """One transaction that puts the table in the place of the one that is there."""
    sets = [
        *_networks("inside", wanted.inside),
        *_networks("api_allow", wanted.api_allow),
        *_ports("open", wanted.open),
        *_ports("api", wanted.api),
        *_ports("closed", wanted.closed),
        *_ports("closed_tcp", [*wanted.closed, *wanted.random, *(wanted.api if wanted.api_allow else ())]),
    ]
    lines = [
        "type filter hook input priority -1; policy accept;",
        'iifname "lo" accept',
        "ct state established,related accept",
        *wanted.rules,
        *(f"{family} saddr @inside{digit} accept" for family, digit in _families(wanted.inside)),
    ]
    if wanted.open:
        lines.append("tcp dport @open accept")
    if wanted.api and wanted.api_allow:
        lines += [
            f"{family} saddr @api_allow{digit} tcp dport @api accept"
            for family, digit in _families(wanted.api_allow)
        ]
    elif wanted.api:
        lines.append("tcp dport @api accept")
    # Only what opens a connection: one that was there before the kernel tracked it goes on.
    lines.append("tcp flags & (fin | syn | rst | ack) == syn tcp dport @closed_tcp counter drop")
    if wanted.closed:
        lines.append("udp dport @closed counter drop")
    chain = "".join(f"\t\t{line}\n" for line in lines)
    mark = f"{MARK}{wanted.mark}\n" if wanted.mark else ""
    return f"{mark}{removal(table)}table inet {table} {{\n{''.join(sets)}\tchain input {{\n{chain}\t}}\n}}\n"


def resolved(names: Iterable[str]) -> tuple[str, ...]:
    """Addresses and networks, with names replaced by all their addresses. Raises NodeError."""
    found: list[str] = []
    unknown = []
    for name in names:
        try:
            found.append(str(ipaddress.ip_network(name, strict=False)))
            continue
        except ValueError:
            pass
        try:
            answers = socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP)
        except OSError:
            unknown.append(name)
        else:
            found += [str(ipaddress.ip_network(answer[4][0].partition("%")[0])) for answer in answers]
    if unknown:
        raise NodeError(
            f"This node finds no address for {', '.join(unknown)}, so its firewall could not let them in. "
            "Give the nodes their `addresses` in cluster.yml, or names that every node knows. "
            "Nothing was changed."
        )
    return tuple(sorted(set(found), key=lambda text: _order(ipaddress.ip_network(text))))


def ssh_ports(proc: Path = PROC) -> tuple[int, ...]:
    """The ports by which SSH reaches this node: that of this connection, and those on which sshd listens."""
    found = {SSH}
    listening = {
        inode: port for name in ("tcp", "tcp6") for inode, port in _listeners(proc / "self/net" / name)
    }
    for process in proc.iterdir():
        if process.name.isdigit() and _text(process / "comm").strip() == "sshd":
            found |= {listening[inode] for inode in _sockets(process) if inode in listening}
    connection = _connection(proc)
    return tuple(sorted(found | ({connection} if connection else set())))


def _connection(proc: Path) -> int:
    """The port of the SSH connection that this process descends from; 0 where there is none."""
    process = (proc / "self").resolve()
    while process.name not in ("0", ""):
        match = re.search(r"(?:^|\0)SSH_CONNECTION=\S+ \d+ \S+ (\d+)", _text(process / "environ"))
        if match:
            return int(match.group(1))
        # The name in parentheses may hold spaces; the second field after it is the parent.
        fields = _text(process / "stat").rpartition(")")[2].split()
        if len(fields) < 2 or fields[1] == "0":
            return 0
        process = proc / fields[1]
    return 0


def _listeners(table: Path) -> Iterable[tuple[str, int]]:
    for line in _text(table).splitlines()[1:]:
        words = line.split()
        if len(words) > 9 and words[3] == "0A":
            yield words[9], int(words[1].rpartition(":")[2], 16)


def _sockets(process: Path) -> set[str]:
    found = set()
    try:
        for entry in (process / "fd").iterdir():
            target = str(entry.readlink())
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    except OSError:
        # It ended meanwhile.
        return found
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _families(networks: Iterable[str]) -> list[tuple[str, str]]:
    versions = {ipaddress.ip_network(network, strict=False).version for network in networks}
    return [
        (word, digit) for version, word, digit in ((4, "ip", "4"), (6, "ip6", "6")) if version in versions
    ]


def _networks(name: str, networks: Iterable[str]) -> list[str]:
    sets = []
    for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
        known = [ipaddress.ip_network(network, strict=False) for network in networks]
        members = sorted({network for network in known if network.version == version}, key=_order)
        if members:
            words = [str(m.network_address) if m.num_addresses == 1 else str(m) for m in members]
            sets.append(_set(f"{name}{version}", kind, words))
    return sets


def _ports(name: str, ports: Iterable[str]) -> list[str]:
    members = sorted(set(ports), key=lambda port: [int(part) for part in port.split("-")])
    return [_set(name, "inet_service", members)] if members else []


def _set(name: str, kind: str, members: list[str]) -> str:
    listed = ",\n\t\t\t     ".join(members)
    lines = [f"type {kind}", "flags interval", "auto-merge", f"elements = {{ {listed} }}"]
    body = "".join(f"\t\t{line}\n" for line in lines)
    return f"\tset {name} {{\n{body}\t}}\n\n"


def _order(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen
