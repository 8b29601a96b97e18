"""The tables of GPUs and of fabrics: data with sources, which a user can extend without touching code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import Field

from nimctl.description.tables import Row, own_rows, rows
from nimctl.errors import Problem


class GpuModel(Row):
    """One kind of GPU. ``link_gbs`` is one direction of the fastest way to its neighbours, per GPU."""

    description: str
    generation: str
    memory_mib: int = Field(ge=0, description="As nvidia-smi reports it")
    memory_gbs: float | None = Field(None, description="Memory bandwidth in GB/s")
    bf16_tflops: float | None = Field(None, description="Dense")
    fp8_tflops: float | None = Field(None, description="Dense")
    fp4_tflops: float | None = Field(None, description="Dense")
    link: Literal["nvlink", "pcie", "none"]
    link_gbs: float | None = None
    nvswitch: bool = Field(False, description="Its usual board joins the GPUs by NVSwitch")
    stand_in: bool = Field(False, description="No GPU at all: a device that a lab uses in its place")


class FabricRate(Row):
    """The speed of one port of a fabric."""

    kinds: list[Literal["infiniband", "roce", "ethernet"]] = Field(min_length=1)
    gbps: float = Field(gt=0, description="Gb/s of one port, one direction")


@dataclass(frozen=True, slots=True)
class Hardware:
    """Both tables, the user's rows included."""

    gpus: Mapping[str, GpuModel] = field(default_factory=dict)
    rates: Mapping[str, FabricRate] = field(default_factory=dict)


@cache
def shipped() -> Hardware:
    """The tables that come with nimctl."""
    problems: list[Problem] = []
    data = files("nimctl") / "data"
    tables = Hardware(
        gpus=rows(GpuModel, (data / "gpus.yml").read_text("utf-8"), Path("gpus.yml"), problems),
        rates=rows(FabricRate, (data / "fabrics.yml").read_text("utf-8"), Path("fabrics.yml"), problems),
    )
    if problems:
        raise ValueError("\n".join(map(str, problems)))
    return tables


def hardware(folder: Path) -> tuple[Hardware, list[Problem]]:
    """The shipped tables with the rows of a folder's own files added, and what is wrong there."""
    problems: list[Problem] = []
    gpus = {**shipped().gpus, **own_rows(GpuModel, folder / "gpus.yml", problems)}
    rates = {**shipped().rates, **own_rows(FabricRate, folder / "fabrics.yml", problems)}
    return Hardware(gpus, rates), problems
