"""Ports of RDMA devices: links, GIDs, firmware."""

from __future__ import annotations

from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.host.pci import slot
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

CLASS = "/sys/class/infiniband"
UNUSED = "0000:0000:0000:0000:0000:0000:0000:0000"
LINK_LOCAL_ONLY = "fe80:0000:0000:0000:0000:0000:0000:0000"
MANAGER = b"SW_MNG"
"""In the vital product data of the HCAs by which NVLink 5 switches are managed (gpu-driver-container)."""


def read(tree: Tree) -> list[dict[str, Any]]:
    """Every port of every RDMA device."""
    return [
        _port(tree, device, int(port))
        for device in tree.names(CLASS)
        for port in tree.names(f"{CLASS}/{device}/ports")
    ]


def _port(tree: Tree, device: str, port: int) -> dict[str, Any]:
    place = f"{CLASS}/{device}/ports/{port}"
    gids = _gids(tree, place)
    layer = tree.text(f"{place}/link_layer")
    return {
        "device": device,
        "port": port,
        "link_layer": layer,
        # "4: ACTIVE", "5: LinkUp"
        "state": tree.text(f"{place}/state").partition(": ")[2],
        "physical_state": tree.text(f"{place}/phys_state").partition(": ")[2],
        "rate_gbps": _rate(tree.text(f"{place}/rate")),
        "model": tree.text(f"{CLASS}/{device}/hca_type"),
        "firmware": tree.text(f"{CLASS}/{device}/fw_ver"),
        "pci": slot(tree, f"{CLASS}/{device}/device"),
        "netdev": _netdev(tree, device, gids),
        "numa_node": tree.number(f"{CLASS}/{device}/device/numa_node", -1),
        "gids": gids,
        # Slow to read, so not from ports that cannot have it.
        "nvlink_manager": layer == "InfiniBand"
        and MANAGER in tree.data(f"{CLASS}/{device}/device/vpd", 4096),
    }


def _rate(text: str) -> float:
    """Gb/s from texts such as ``400 Gb/sec (4X NDR)``."""
    try:
        return float(text.split(" ")[0])
    except ValueError:
        return 0.0


def _netdev(tree: Tree, device: str, gids: list[dict[str, Any]]) -> str:
    """The interface of a port: the GID table names it for RoCE, the device has it for IPoIB."""
    named = next((gid["netdev"] for gid in gids if gid["netdev"]), "")
    return named or next(iter(tree.names(f"{CLASS}/{device}/device/net")), "")


def _gids(tree: Tree, place: str) -> list[dict[str, Any]]:
    found = []
    for name in sorted(tree.names(f"{place}/gids"), key=int):
        gid = tree.text(f"{place}/gids/{name}")
        if gid in ("", UNUSED, LINK_LOCAL_ONLY):
            # The tables of RoCE ports have 256 entries, most of them unused.
            continue
        found.append(
            {
                "index": int(name),
                "gid": gid,
                "type": tree.text(f"{place}/gid_attrs/types/{name}"),
                "netdev": tree.text(f"{place}/gid_attrs/ndevs/{name}"),
            }
        )
    return found
