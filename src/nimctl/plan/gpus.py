"""The GPUs, from the table that the description uses as well."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from nimctl.errors import RejectedError
from nimctl.plan import tables

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Gpu:
    """One row of the GPU table: bytes, bytes per second and FLOPS (dense) of one GPU.

    ``link`` is one direction of the fastest way to its neighbours in the node, 0 where there is none.
    """

    name: str
    description: str
    memory: int
    bandwidth: float
    flops: dict[str, float]
    link: float
    nvlink: bool
    generation: str
    source: str

    def compute(self, form: str) -> tuple[str, float]:
        """The format in which it multiplies weights of another, and its FLOPS: the narrowest that it has."""
        for name in _FALLBACK.get(form, ("bf16",)):
            if self.flops.get(name):
                return name, self.flops[name]
        return "bf16", self.flops["bf16"]


_FALLBACK = {"fp4": ("fp4", "fp8", "bf16"), "fp8": ("fp8", "bf16"), "bf16": ("bf16",)}


def gpu(name: str, folder: Path | None = None) -> Gpu:
    """A row of the table. Raises RejectedError."""
    table = tables.rows("gpus", folder)
    key = name.strip().lower().replace("_", "-")
    # `b200_sxm` where there is one form only.
    row = table.get(key) or table.get(key.removesuffix("-sxm"))
    if row is None:
        near = get_close_matches(key, table, 1, 0.6)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise RejectedError(f"{name}: no GPU of the table{hint} It has {', '.join(sorted(table))}")
    if row.data.get("stand_in"):
        raise RejectedError(f"{name}: is a lab's stand-in for a GPU, which has no memory to plan for")
    formats = {form: row.number(f"{form}_tflops", 0) * 1e12 for form in ("bf16", "fp8", "fp4")}
    if not formats["bf16"] or not row.number("memory_gbs", 0):
        raise RejectedError(
            f"{name}: its row in {row.file} has no bf16_tflops or memory_gbs, which a plan needs"
        )
    return Gpu(
        key,
        row.text("description"),
        int(row.number("memory_mib")) * _MIB,
        row.number("memory_gbs") * 1e9,
        {form: value for form, value in formats.items() if value},
        row.number("link_gbs", 0) * 1e9,
        row.text("link") == "nvlink",
        row.text("generation"),
        row.text("source"),
    )
