"""Network interfaces and their addresses."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterator
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.host.pci import slot
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

CLASS = "/sys/class/net"
# From linux/rtnetlink.h and linux/if_addr.h.
RTM_NEWADDR, RTM_GETADDR, NLMSG_DONE, NLM_F_REQUEST, NLM_F_DUMP = 20, 22, 3, 1, 0x300
IFA_ADDRESS, IFA_LOCAL = 1, 2


def read(tree: Tree) -> list[dict[str, Any]]:
    """Interfaces of hardware, and others that have an address of their own; lo is left out."""
    addresses = _listed(tree) if tree.recorded else _live()
    found = []
    for name in tree.names(CLASS):
        own = addresses.get(name, [])
        hardware = tree.exists(f"{CLASS}/{name}/device")
        routable = any(not ipaddress.ip_interface(address).is_link_local for address in own)
        if name != "lo" and (hardware or routable):
            found.append(_interface(tree, name, own))
    return found


def _interface(tree: Tree, name: str, addresses: list[str]) -> dict[str, Any]:
    place = f"{CLASS}/{name}"
    # -1, or an error, where there is no link.
    speed = tree.number(f"{place}/speed", -1)
    return {
        "name": name,
        "pci": slot(tree, f"{place}/device"),
        "mtu": tree.number(f"{place}/mtu"),
        "state": tree.text(f"{place}/operstate"),
        "speed_mbps": speed if 0 < speed < 0xFFFFFFFF else None,
        "driver": tree.link(f"{place}/device/driver"),
        "addresses": addresses,
    }


def _listed(tree: Tree) -> dict[str, list[str]]:
    """Lines of ``interface address/prefix``."""
    found: dict[str, list[str]] = {}
    for line in tree.lines("/listings/addresses"):
        name, address = line.split()
        found.setdefault(name, []).append(address)
    return found


def _live() -> dict[str, list[str]]:
    """All addresses by interface, from the kernel itself: no file has those of IPv4 with their interface."""
    names = dict(socket.if_nameindex())
    found: dict[str, list[str]] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as link:
        link.settimeout(2)
        link.sendall(struct.pack("=IHHIIBxxxI", 24, RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, 1, 0, 0, 0))
        done = False
        while not done:
            for kind, body in _messages(link.recv(1 << 16)):
                done = done or kind == NLMSG_DONE
                if kind == RTM_NEWADDR:
                    index, address = _address(body)
                    found.setdefault(names.get(index, ""), []).append(address)
    return found


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, place)
        yield kind, data[place + 16 : place + length]
        place += (length + 3) & ~3


def _address(body: bytes) -> tuple[int, str]:
    """Index of the interface, and the address with its prefix; of a point-to-point link the own end."""
    _, prefix, _, _, index = struct.unpack_from("=BBBBI", body)
    values: dict[int, bytes] = {}
    place = 8
    while place + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, place)
        values[kind] = body[place + 4 : place + length]
        place += max(4, (length + 3) & ~3)
    return index, f"{ipaddress.ip_address(values.get(IFA_LOCAL) or values[IFA_ADDRESS])}/{prefix}"
