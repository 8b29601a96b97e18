"""PCI devices: GPUs, NVSwitches and network cards, and what stands between them."""

from __future__ import annotations

import struct
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

DEVICES = "/sys/bus/pci/devices"
NVIDIA = "10de"
# Base class and subclass. NVSwitches are bridges of the subclass "other".
DISPLAY, OTHER_BRIDGE, NETWORK, PCI_BRIDGE = ("0300", "0302"), ("0680",), ("0200", "0207"), ("0604",)

ACS = 0x000D
"""The extended capability; 6 bytes into it is its control register (PCI Express Base Specification)."""
REDIRECTION = 0x04 | 0x08 | 0x10
"""P2P request redirect, P2P completion redirect, upstream forwarding."""


def read(tree: Tree) -> dict[str, Any]:
    """GPUs, NVSwitches and network cards in the order of their addresses."""
    found: dict[str, list[dict[str, Any]]] = {"gpus": [], "nvswitches": [], "nics": []}
    for address in tree.names(DEVICES):
        event = event_of(tree, address)
        kind = _kind(event)
        if kind:
            found[kind].append(_device(tree, address, event))
    return found


def event_of(tree: Tree, address: str) -> dict[str, str]:
    """A device's uevent: one file with its ids, class and driver."""
    pairs = (line.partition("=") for line in tree.text(f"{DEVICES}/{address}/uevent").splitlines())
    return {name: value for name, _, value in pairs}


def slot(tree: Tree, place: str) -> str:
    """The PCI address of what a link named ``device`` leads to; empty for virtio, soft RoCE and the like."""
    event = tree.lines(f"{place}/uevent")
    return next((line.partition("=")[2] for line in event if line.startswith("PCI_SLOT_NAME=")), "")


def class_of(event: dict[str, str]) -> str:
    """Base class and subclass as four hexadecimal digits: uevent leaves out leading zeros."""
    return event.get("PCI_CLASS", "").zfill(6)[:4]


def _kind(event: dict[str, str]) -> str:
    ours = event.get("PCI_ID", "").lower().startswith(NVIDIA)
    if ours and class_of(event) in DISPLAY:
        return "gpus"
    if ours and class_of(event) in OTHER_BRIDGE:
        return "nvswitches"
    return "nics" if class_of(event) in NETWORK else ""


def _device(tree: Tree, address: str, event: dict[str, str]) -> dict[str, Any]:
    place = f"{DEVICES}/{address}"
    speed = tree.text(f"{place}/current_link_speed").split(" ")[0]
    width = tree.number(f"{place}/current_link_width")
    return {
        "address": address,
        "id": event.get("PCI_ID", "").lower(),
        "subsystem": event.get("PCI_SUBSYS_ID", "").lower(),
        "device_class": event.get("PCI_CLASS", "").lower().zfill(6),
        "driver": event.get("DRIVER", ""),
        "model": _model(tree, address),
        "numa_node": tree.number(f"{place}/numa_node", -1),
        "link_speed_gts": float(speed) if speed.replace(".", "", 1).isdigit() else None,
        "link_width": width or None,
    }


def _model(tree: Tree, address: str) -> str:
    for line in tree.lines(f"/proc/driver/nvidia/gpus/{address}/information"):
        if line.startswith("Model:"):
            return line.partition(":")[2].strip()
    return ""


def acs(tree: Tree) -> list[str]:
    """Bridges that send traffic between two devices below them up to the root."""
    found, closed = [], 0
    for address in tree.names(DEVICES):
        if class_of(event_of(tree, address)) not in PCI_BRIDGE:
            continue
        try:
            control = _acs_control(tree, f"{DEVICES}/{address}/config")
        except OSError:
            continue
        closed += control is None
        if control and control & REDIRECTION:
            found.append(address)
    if closed:
        tree.problem(f"PCIe access control of {closed} bridges cannot be read without root")
    return found


def _acs_control(tree: Tree, path: str) -> int | None:
    """The ACS control register; 0 where there is none, None where the capabilities are out of sight."""
    place = 0x100
    # A list that runs in a circle is broken hardware, not a reason to hang.
    for _ in range(64):
        (header,) = tree.read_at(path, [place])
        if len(header) < 4:
            return None if place == 0x100 and _is_express(tree, path) is None else 0
        (word,) = struct.unpack("<I", header)
        if word & 0xFFFF == ACS:
            (control,) = tree.read_at(path, [place + 6], 2)
            return int(struct.unpack("<H", control)[0]) if len(control) == 2 else 0
        place = word >> 20
        if place < 0x100 or word in (0, 0xFFFFFFFF):
            return 0
    return 0


def _is_express(tree: Tree, path: str) -> bool | None:
    """Whether there is more than the 64 bytes that everybody may read; None where one cannot see."""
    (beyond,) = tree.read_at(path, [0x40])
    return None if not beyond else False
