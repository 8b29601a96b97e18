"""What the figures of a burn-in mean: each GPU against its row of the table, and against its neighbours.

``inside/burnin.py`` measures on the nodes; this judges on the controller, where the tables are.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Grade = Literal["pass", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure of one GPU that was looked at.

    ``value`` and ``limit`` are in ``unit``; ``source`` says where the limit comes from, ``remedy`` what to
    do about a figure below it (empty where the grade is pass).
    """

    node: str
    device: str
    check: str
    grade: Grade
    value: float
    limit: float
    unit: str
    source: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Floor:
    """Shares of the table's peak below which a figure is worth a warning, and below which it is a fault."""

    warn: float
    fail: float
    source: str


FLOORS: Mapping[str, Floor] = {
    "copy": Floor(0.72, 0.60, "an H200 moved 80 % of its peak (2026-11-24); an H100 90 %"),
    # Random bf16 matrices at full power end at the power limit, far below the peak that the datasheet counts.
    "matrix": Floor(0.60, 0.50, "an H200 at its 700 W limit held 66 % of its peak for 120 s (2026-11-24)"),
}
ODD_ONE = 0.93
"""A GPU slower than this share of its neighbours' median is the one that all wait for."""
THERMAL = 0x20 | 0x40
"""Bits of clocks_event_reasons.active: software and hardware thermal slowdown."""
BRAKE = 0x8 | 0x80
"""Hardware slowdown and power brake, which the machine itself asks for."""


def judge(
    results: Mapping[str, Mapping[str, Any]], peaks: Mapping[str, tuple[float, float]]
) -> list[Finding]:
    """Judge the GPUs of every node; the worst first.

    ``results`` are the outputs of ``burnin.py gpus`` by node, ``peaks`` memory bandwidth (GB/s) and dense
    bf16 rate (TFLOP/s) of the node's row in the GPU table.
    """
    found: list[Finding] = []
    everyone = [gpu for result in results.values() for gpu in result["gpus"]]
    typical = {
        "copy": statistics.median(gpu["copy_gbs"] for gpu in everyone) if everyone else 0.0,
        "matrix": statistics.median(gpu["bf16_tflops"]["median"] for gpu in everyone) if everyone else 0.0,
    }
    for node, result in sorted(results.items()):
        bandwidth, rate = peaks[node]
        for gpu in result["gpus"]:
            device = f"GPU {gpu['index']}"
            found += _results(node, device, gpu)
            figures = (
                ("copy", gpu["copy_gbs"], bandwidth, "GB/s"),
                ("matrix", gpu["bf16_tflops"]["median"], rate, "TFLOP/s"),
            )
            for check, value, peak, unit in figures:
                found.append(_figure(node, device, check, value, peak, unit, gpu))
                if len(everyone) > 1 and value < ODD_ONE * typical[check]:
                    found.append(_odd(node, device, check, value, typical[check], unit))
    order = {"fail": 0, "warn": 1, "pass": 2}
    return sorted(found, key=lambda finding: order[finding.grade])


def _results(node: str, device: str, gpu: Mapping[str, Any]) -> Iterable[Finding]:
    for check, what in (("memory", "memory_errors"), ("results", "wrong_results")):
        wrong = gpu[what]
        yield Finding(
            node,
            device,
            check,
            "fail" if wrong else "pass",
            wrong,
            0,
            "words that read back wrong" if check == "memory" else "products that differed",
            "a sound GPU has none",
            "Take the node out of service (nimctl drain) and have the GPU replaced; look for Xid and ECC "
            "errors with `nvidia-smi -q -d ECC,ROW_REMAPPER` and `dmesg`."
            if wrong
            else "",
        )


def _figure(
    node: str, device: str, check: str, value: float, peak: float, unit: str, gpu: Mapping[str, Any]
) -> Finding:
    floor = FLOORS[check]
    grade: Grade = "pass" if value >= floor.warn * peak else "warn" if value >= floor.fail * peak else "fail"
    return Finding(
        node,
        device,
        check,
        grade,
        value,
        round(floor.warn * peak, 1),
        unit,
        f"{floor.warn:.0%} of the table's {peak:g} {unit}; {floor.source}",
        "" if grade == "pass" else why_slow(gpu.get("during") or {}),
    )


def _odd(node: str, device: str, check: str, value: float, typical: float, unit: str) -> Finding:
    return Finding(
        node,
        device,
        f"{check} beside the others",
        "warn",
        value,
        round(ODD_ONE * typical, 1),
        unit,
        f"{ODD_ONE:.0%} of what the others reach, {typical:g} {unit}",
        "The slowest GPU sets the pace of its replica. Compare its clocks, temperature and power limit with "
        "the others': `nvidia-smi -q -d CLOCK,TEMPERATURE,POWER`.",
    )


def why_slow(during: Mapping[str, str]) -> str:
    """What the sensors under load say about a slow GPU, and what to do."""
    reasons = int(during.get("clocks_event_reasons.active") or "0", 16) if during else 0
    temperature = during.get("temperature.gpu", "?")
    if reasons & THERMAL:
        return f"It slows down because it is hot ({temperature} °C): look at fans, air flow and the room."
    if reasons & BRAKE:
        return (
            "The machine slows it down (hardware slowdown, power brake): look at power supplies and at the "
            "log of the BMC."
        )
    if reasons & 0x4:
        return (
            f"It runs into its power limit at {during.get('power.draw', '?')} W: compare "
            "`nvidia-smi -q -d POWER` with the default limit."
        )
    return (
        "Nothing slows it down as far as its sensors say: look for other work on it (`nvidia-smi`), fixed "
        "clocks (`nvidia-smi -q -d CLOCK`) and a narrow PCIe link (`nvidia-smi -q -d PCIE`)."
    )


def bus_floor(result: Mapping[str, Any], expected_gbs: float) -> tuple[Grade, float]:
    """The grade of an all-reduce and its bus bandwidth in GB/s at the largest message.

    ``expected_gbs`` is what the links allow; three quarters of it are a pass, half is a warning.
    """
    if result["ranks"] < 2:
        return "pass", 0.0
    reached = max(row["bus_gbs"] for row in result["rows"])
    share = reached / expected_gbs
    return ("pass" if share >= 0.75 else "warn" if share >= 0.5 else "fail"), reached


def wrong_way(result: Mapping[str, Any], fabric: str) -> Sequence[str]:
    """What the library's own words say against a result: transports that should not have been taken.

    ``fabric`` is infiniband, roce or ethernet, or empty for the GPUs of one node.
    """
    used = result["transports"]
    found = []
    if fabric in ("infiniband", "roce"):
        if any(name.startswith("NET/Socket") for name in used):
            found.append(
                "NCCL fell back to TCP (NET/Socket): the container lacks /dev/infiniband, IPC_LOCK or the "
                "libraries, or NCCL_IB_HCA names no HCA of this node"
            )
        elif any(name.startswith("NET/IB") for name in used) and not any("GDRDMA" in name for name in used):
            found.append(
                "NCCL goes over the HCAs, but through the host's memory (no GDRDMA): load nvidia-peermem "
                "or use the open kernel modules with DMA-BUF, and switch ACS off"
            )
    if not fabric and any(name.startswith("SHM") for name in used):
        found.append(
            "the GPUs of the node talk through the host's memory (SHM), not by NVLink or PCIe peer to "
            "peer: look at `nvidia-smi topo -m`, ACS, IOMMU and NCCL_P2P_DISABLE"
        )
    return found
