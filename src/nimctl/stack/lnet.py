"""Addresses of Lustre's network layer, and its configuration for one node.

A NID is ``10.22.0.10@o2ib``: an address, and a network, which is a kind with an optional number. A server is
one NID or several that stand for each other, separated by ``:`` or ``,``. Source: lnetctl(8) and
mount.lustre(8).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nimctl.stack.host import Host
from nimctl.stack.plan import RefusedError

PORT = 988
"""Where a server's LNet takes TCP connections."""
_NID = re.compile(r"[^@:,]+(?:@[a-z][a-z0-9]*)?")
_KIND = re.compile(r"(tcp|o2ib)[0-9]*")


@dataclass(frozen=True, slots=True)
class Nid:
    """One address of a server, with its network."""

    address: str
    network: str

    @property
    def kind(self) -> str:
        """Either tcp or o2ib."""
        return "o2ib" if self.network.startswith("o2ib") else "tcp"


def nids(server: str) -> tuple[Nid, ...]:
    """The NIDs of a server. Raises RefusedError for a network that no node of a cluster here can have."""
    found = []
    for word in _NID.findall(server):
        address, _, network = word.partition("@")
        network = network or "tcp"
        if not _KIND.fullmatch(network):
            raise RefusedError(
                f"storage_lustre: {word} is on the network {network}, expected tcp or o2ib, with or without "
                "a number, such as 10.22.0.10@o2ib"
            )
        found.append(Nid(address, network))
    return tuple(found)


def interface_of(nid: Nid, host: Host, fabric: Mapping[str, Any], address: str) -> str:
    """The interface by which a node reaches a NID.

    RDMA takes the fabric's. TCP takes the one that is in the server's network, else the fabric's where that
    is Ethernet, else the one with the node's own address. Raises RefusedError where there is none.
    """
    own = str(fabric.get("interface") or "")
    rdma = fabric.get("kind") in ("infiniband", "roce")
    if nid.kind == "o2ib":
        chosen = own if rdma else ""
        why = "the node has no fabric with RDMA and an interface. Give it one (fabric.kind, fabric.interface)"
    else:
        beside = _beside(nid.address, host)
        chosen = beside or (own if fabric.get("kind") != "infiniband" else "") or _with(address, host)
        why = "no interface of the node leads there. Name it as fabric.interface of the node"
    if not chosen:
        other = " or use a NID @tcp of the server" if nid.kind == "o2ib" else ""
        raise RefusedError(f"storage_lustre: {nid.address}@{nid.network} cannot be reached: {why}{other}.")
    known = [interface.name for interface in host.interfaces]
    if known and chosen not in known:
        raise RefusedError(
            f"storage_lustre: the node has no interface {chosen}, which LNet is to use for {nid.network}; it "
            f"has {', '.join(known)}. Correct fabric.interface of the node."
        )
    return chosen


def _beside(address: str, host: Host) -> str:
    """The interface that is in the same network as an address."""
    for interface in host.interfaces:
        if any(_in(address, own) for own in interface.addresses):
            return interface.name
    return ""


def _in(address: str, own: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_interface(own).network
    except ValueError:
        # A name, which is looked up only when it is mounted.
        return False


def _with(address: str, host: Host) -> str:
    for interface in host.interfaces:
        if address and address in [own.partition("/")[0] for own in interface.addresses]:
            return interface.name
    return ""


def configuration(interfaces: Mapping[str, str]) -> str:
    """The text of ``/etc/lnet.conf``, as ``lnetctl import`` reads it; interfaces by network."""
    lines = ["# Managed by Ansible: nimctl, storage_lustre", "net:"]
    for network, interface in sorted(interfaces.items()):
        lines += [f"    - net type: {network}", "      local NI(s):", "        - interfaces:"]
        lines.append(f"              0: {interface}")
    return "\n".join(lines) + "\n"


def same_source(found: str, server: str, export: str) -> bool:
    """Whether a mounted source is this file system: the kernel may show fewer NIDs, or looked-up names."""
    given, _, path = found.rpartition(":/")
    if path.strip("/") != export.strip("/"):
        return False
    theirs, ours = set(nids(given)), set(nids(server))
    # A name is looked up by mount.lustre, and the kernel shows its address.
    return bool(theirs & ours) or any(not _is_address(nid.address) for nid in ours)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
