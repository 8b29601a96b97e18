"""The tables of GPUs and of fabrics: data with sources, which a user can extend without touching code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nimctl.description import source
from nimctl.description.marks import Positions
from nimctl.description.words import nearest, show
from nimctl.errors import Problem


class Row(BaseModel):
    """A row of a table; each says where its numbers come from."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str = Field(min_length=3, description="Where the numbers come from")


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


PLUGIN = "nimctl.multinode.cluster"
RowType = TypeVar("RowType", bound=Row)


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
        gpus=_rows(GpuModel, (data / "gpus.yml").read_text("utf-8"), Path("gpus.yml"), problems),
        rates=_rows(FabricRate, (data / "fabrics.yml").read_text("utf-8"), Path("fabrics.yml"), problems),
    )
    if problems:
        raise ValueError("\n".join(map(str, problems)))
    return tables


def hardware(folder: Path) -> tuple[Hardware, list[Problem]]:
    """The shipped tables with the rows of a folder's own files added, and what is wrong there."""
    problems: list[Problem] = []
    gpus = {**shipped().gpus, **_own_rows(GpuModel, folder / "gpus.yml", problems)}
    rates = {**shipped().rates, **_own_rows(FabricRate, folder / "fabrics.yml", problems)}
    return Hardware(gpus, rates), problems


def _own_rows(model: type[RowType], path: Path, problems: list[Problem]) -> dict[str, RowType]:
    if not path.exists():
        return {}
    try:
        return _rows(model, source.read_text(path), path, problems, plugin=PLUGIN)
    except source.SourceError as error:
        problems.extend(error.problems)
        return {}


def _rows(
    model: type[RowType], text: str, path: Path, problems: list[Problem], plugin: str = ""
) -> dict[str, RowType]:
    raw, mark, found = source.parse(text, path)
    problems.extend(found)
    positions = Positions(mark)
    if not isinstance(raw, dict):
        problems.append(
            Problem(
                (), f"found {show(raw)}, expected a mapping of names to rows", path, *positions.nearest(())
            )
        )
        return {}
    if plugin and raw.pop("plugin", None) != plugin:
        # Ansible reads every file of an inventory folder; this key tells it to leave this one to us.
        message = f"found nothing, expected `plugin: {plugin}`, or Ansible takes this file for an inventory"
        problems.append(Problem(("plugin",), message, path, 1, 1))
    rows: dict[str, RowType] = {}
    for name, row in raw.items():
        try:
            rows[name] = model.model_validate(row)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                where = (name, *detail["loc"])
                message = _message(model, detail["type"], detail["loc"], detail["msg"], detail["input"])
                problems.append(Problem(where, message, path, *positions.nearest(where)))
    return rows


def _message(model: type[Row], kind: str, location: tuple[int | str, ...], said: str, found: object) -> str:
    if kind == "missing":
        return "found nothing, expected a value"
    if kind == "extra_forbidden":
        known = list(model.model_fields)
        return f"found an unknown key, expected one of {', '.join(known)}{nearest(str(location[-1]), known)}"
    return f"found {show(found)}, expected: {said[0].lower()}{said[1:]}"
