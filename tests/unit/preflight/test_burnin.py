"""Figures of a burn-in, recorded on a real GPU and made worse here."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from nimctl.preflight.burnin import bus_floor, judge, why_slow, wrong_way

FIXTURES = Path(__file__).parents[2] / "fixtures" / "burnin"
H200 = (4800.0, 989.0)


def recorded(name: str) -> dict[str, Any]:
    """A result as a machine gave it."""
    content: dict[str, Any] = json.loads((FIXTURES / f"{name}.json").read_text())
    return content


def node(gpus: int = 1, **changes: Any) -> dict[str, Any]:
    """A result with so many GPUs, the last of them changed."""
    result = recorded("h200-sxm-x1-120s")
    result["gpus"] = [{**copy.deepcopy(result["gpus"][0]), "index": index} for index in range(gpus)]
    result["gpus"][-1].update(changes)
    return result


@pytest.mark.parametrize("name", ["h200-sxm-x1-10s", "h200-sxm-x1-120s"])
def test_a_sound_gpu_passes(name: str) -> None:
    found = judge({"gpu01": recorded(name)}, {"gpu01": H200})
    assert {finding.grade for finding in found} == {"pass"}
    assert {finding.check for finding in found} == {"memory", "results", "copy", "matrix"}


@pytest.mark.parametrize(("field", "check"), [("memory_errors", "memory"), ("wrong_results", "results")])
def test_a_wrong_result_fails_whatever_the_rates(field: str, check: str) -> None:
    first = judge({"gpu01": node(8, **{field: 3})}, {"gpu01": H200})[0]
    assert (first.grade, first.device, first.check, first.value) == ("fail", "GPU 7", check, 3)
    assert "nimctl drain" in first.remedy


@pytest.mark.parametrize(("rate", "grade"), [(3500.0, "pass"), (3400.0, "warn"), (2500.0, "fail")])
def test_a_slow_memory_is_measured_against_the_table(rate: float, grade: str) -> None:
    found = judge({"gpu01": node(copy_gbs=rate)}, {"gpu01": H200})
    assert [finding.grade for finding in found if finding.check == "copy"] == [grade]


def test_the_slowest_of_many_is_named() -> None:
    slow = node(8)
    slow["gpus"][3]["bf16_tflops"]["median"] = 600.0
    (odd,) = [
        finding
        for finding in judge({"gpu01": node(8), "gpu02": slow}, {"gpu01": H200, "gpu02": H200})
        if "beside the others" in finding.check
    ]
    assert (odd.node, odd.device, odd.check) == ("gpu02", "GPU 3", "matrix beside the others")


@pytest.mark.parametrize(
    ("reasons", "says"),
    [("0x20", "it is hot"), ("0x80", "power supplies"), ("0x4", "power limit at 683"), ("0x0", "other work")],
)
def test_the_sensors_say_why(reasons: str, says: str) -> None:
    during = {"clocks_event_reasons.active": reasons, "temperature.gpu": "91", "power.draw": "683.55"}
    assert says in why_slow(during)


def test_a_slow_gpu_without_sensors_has_a_remedy_too() -> None:
    assert "other work" in why_slow({})


def test_one_gpu_has_nobody_to_talk_to() -> None:
    assert bus_floor(recorded("h200-sxm-x1-all-reduce"), 450.0) == ("pass", 0.0)


def all_reduce(bus: float, **transports: int) -> dict[str, Any]:
    """A made result of several GPUs."""
    return {
        "ranks": 16,
        "rows": [{"bytes": 8, "bus_gbs": 0.01}, {"bytes": 1 << 30, "bus_gbs": bus}],
        "transports": transports,
    }


@pytest.mark.parametrize(("bus", "grade"), [(360.0, "pass"), (300.0, "warn"), (40.0, "fail")])
def test_bandwidth_is_measured_against_the_links(bus: float, grade: str) -> None:
    assert bus_floor(all_reduce(bus), 450.0) == (grade, bus)


@pytest.mark.parametrize(
    ("transports", "fabric", "says"),
    [
        ({"P2P/CUMEM": 48, "NET/IB/0/GDRDMA": 16}, "infiniband", None),
        ({"P2P/CUMEM": 48, "NET/Socket/0": 4}, "infiniband", "fell back to TCP"),
        ({"NET/IB/0": 16}, "roce", "no GDRDMA"),
        ({"NET/Socket/0": 4}, "ethernet", None),
        ({"SHM/direct/direct": 8}, "", "host's memory (SHM)"),
        ({"P2P/CUMEM": 48}, "", None),
    ],
)
def test_the_way_that_nccl_took(transports: dict[str, int], fabric: str, says: str | None) -> None:
    found = wrong_way(all_reduce(300.0, **transports), fabric)
    assert (says is None and not found) or (says is not None and says in found[0])
