"""Whether the ports of a node's HCAs are what the description says: each difference named, none changed.

RDMA names devices after their PCI place, so that one name means the same port on nodes that are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nimctl.description.hardware import shipped
from nimctl.lock import Attachment
from nimctl.stack.host import Host, IbPort

LINK_LAYERS = {"infiniband": "InfiniBand", "roce": "Ethernet"}
JUMBO = 4200
"""Bytes that an interface has to carry for an RDMA MTU of 4096 (IBTA RoCE v2: 4096 and its headers)."""


@dataclass(frozen=True, slots=True)
class Checked:
    """``problems`` keep ranks from working, ``notes`` do not; ``gid_index`` is that of RoCE v2 by device."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    gid_index: Mapping[str, int] = field(default_factory=dict)


def check(host: Host, fabric: Mapping[str, Any], node: str) -> Checked:
    """Compare the ports with a fabric as the inventory gives it; one without a kind is not checked."""
    kind = str(fabric.get("kind") or "")
    if kind not in LINK_LAYERS:
        return Checked()
    hcas = [str(hca) for hca in fabric.get("hcas") or []]
    chosen = _chosen(host.infiniband, hcas, kind)
    problems = [*_missing(host, hcas, node), *_count(chosen, fabric, hcas, node)]
    for port in chosen:
        problems += _port(
            port, kind, str(fabric.get("rate") or ""), f"{node}: {port.device} port {port.port}"
        )
    indexes = {port.device: index for port in chosen if (index := gid_index(port)) is not None}
    notes = tuple(_roce_notes(host, chosen, indexes, node)) if kind == "roce" else ()
    return Checked(tuple(problems), notes, indexes if kind == "roce" else {})


def discovered(host: Host, fabric: Mapping[str, Any], address: str) -> Attachment:
    """What the description leaves open of a node's fabric, as the node has it; for the lock.

    ``address`` is where ranks reach the node. HCAs are those whose ports are up, at the speed of the fabric
    where some are; the interface is the one that has the address, because ranks meet there. On a fabric with
    RDMA it has to be one of those HCAs': another is not the fabric's.
    """
    kind = str(fabric.get("kind") or "")
    if not kind:
        return Attachment()
    ports = (
        [port for port in _chosen(host.infiniband, (), kind) if port.state == "ACTIVE"]
        if kind in LINK_LAYERS
        else []
    )
    row = shipped().rates.get(str(fabric.get("rate") or ""))
    fast = [port for port in ports if row is None or port.rate_gbps >= row.gbps] or ports
    hcas = () if fabric.get("hcas") else tuple(_device(port, ports) for port in fast)
    there = [each.name for each in host.interfaces if address in map(_plain, each.addresses)]
    if kind in LINK_LAYERS:
        there = [name for name in there if name in {port.netdev for port in fast}]
    interface = "" if fabric.get("interface") or len(there) != 1 else there[0]
    return Attachment(hcas, interface)


def _device(port: IbPort, ports: Sequence[IbPort]) -> str:
    """The name of a device, with the port where it has several."""
    several = sum(each.device == port.device for each in ports) > 1
    return f"{port.device}:{port.port}" if several else port.device


def _plain(address: str) -> str:
    return address.partition("/")[0]


def gid_index(port: IbPort) -> int | None:
    """The index of the GID that NCCL should use: RoCE v2 with an IPv4 address first; None without one."""
    routable = [gid for gid in port.gids if gid.type == "RoCE v2" and not gid.gid.startswith("fe80")]
    # ::ffff:a.b.c.d as the kernel writes it
    mapped = [gid for gid in routable if gid.gid.startswith("0000:0000:0000:0000:0000:ffff:")]
    return next((gid.index for gid in [*mapped, *routable]), None)


def _chosen(found: Sequence[IbPort], hcas: Sequence[str], kind: str) -> list[IbPort]:
    """The ports that carry the traffic: as named, else those of the right kind; never those of NVLink."""
    if not hcas:
        return [p for p in found if p.link_layer == LINK_LAYERS[kind] and not p.nvlink_manager]
    names = [hca.partition(":") for hca in hcas]
    return [
        port
        for name, _, number in names
        for port in found
        if port.device == name and number in ("", str(port.port))
    ]


def _missing(host: Host, hcas: Sequence[str], node: str) -> Iterator[str]:
    known = {port.device for port in host.infiniband} | {f"{p.device}:{p.port}" for p in host.infiniband}
    for hca in hcas:
        if hca not in known:
            has = ", ".join(sorted({port.device for port in host.infiniband})) or "none"
            yield (
                f"{node}: there is no HCA {hca}; the node has {has}. Is it seated, and does its driver load "
                "(lspci -d 15b3:, dmesg)? Or is fabric.hcas wrong?"
            )


def _count(
    chosen: Sequence[IbPort], fabric: Mapping[str, Any], hcas: Sequence[str], node: str
) -> Iterator[str]:
    wanted = int(fabric.get("ports") or 0)
    if not hcas and len(chosen) < wanted:
        yield (
            f"{node}: {len(chosen)} {LINK_LAYERS[fabric['kind']]} ports were found, and fabric.ports says "
            f"{wanted}."
        )


def _port(port: IbPort, kind: str, rate: str, where: str) -> Iterator[str]:
    layer = LINK_LAYERS[kind]
    if port.link_layer and port.link_layer != layer:
        yield (
            f"{where} is {port.link_layer}, and the fabric is {kind}: change its type with `mlxconfig -d "
            f"{port.pci or port.device} set LINK_TYPE_P{port.port}={1 if kind == 'infiniband' else 2}` and "
            "reboot, or mend fabric.kind."
        )
        return
    if port.state == "INIT":
        yield f"{where} has a link and no LID: no subnet manager answers. Does one run (sminfo)?"
    elif port.state != "ACTIVE":
        state = f"{port.state or 'in no state'} ({port.physical_state or 'no link'})"
        yield f"{where} is {state}: see to its cable and switch."
    row = shipped().rates.get(rate)
    if port.state == "ACTIVE" and row is not None and port.rate_gbps < row.gbps:
        yield (
            f"{where} runs at {port.rate_gbps:g} Gb/s, and {rate} is {row.gbps:g} Gb/s: a cable or a "
            "switch port is "
            "slower."
        )
    if kind == "roce" and port.state == "ACTIVE" and gid_index(port) is None:
        yield f"{where} has no GID of RoCE v2: does {port.netdev or 'its interface'} have an address?"


def _roce_notes(host: Host, chosen: Sequence[IbPort], indexes: Mapping[str, int], node: str) -> Iterator[str]:
    if len(set(indexes.values())) > 1:
        said = ", ".join(f"{device} {index}" for device, index in sorted(indexes.items()))
        yield (
            f"{node}: the GID of RoCE v2 has another index on each HCA ({said}). NCCL finds it by itself "
            "from 2.21 "
            "on; with an older one give the interfaces their addresses in the same order."
        )
    sizes = {interface.name: interface.mtu for interface in host.interfaces}
    small = sorted({p.netdev for p in chosen if 0 < sizes.get(p.netdev, 0) < JUMBO})
    if small:
        yield (
            f"{node}: the MTU of {', '.join(small)} is below {JUMBO} bytes, so that RDMA sends less than "
            "4096 bytes "
            "at a time. Set it to 9000 here and on the switches."
        )
    yield (
        "PFC and ECN have to agree between HCAs and switches; nimctl changes neither. What an HCA does: "
        "`mlnx_qos -i INTERFACE`, /sys/class/net/INTERFACE/ecn."
    )
