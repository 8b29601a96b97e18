"""What a plan is asked for, checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nimctl.errors import RejectedError
from nimctl.plan import answer
from nimctl.plan.answer import Goal
from nimctl.plan.calibration import Calibration, shipped
from nimctl.plan.catalogue import Catalogue
from nimctl.plan.fabric import Fabric
from nimctl.plan.gpus import Gpu
from nimctl.plan.memory import Assumptions, assumptions
from nimctl.plan.model import Format, Model
from nimctl.plan.own import Corrections

ENGINES = ("nim", "vllm", "sglang", "trtllm")
GOALS: tuple[Goal, ...] = ("latency", "throughput", "gpus")


@dataclass(frozen=True)
class Question:
    """One model on some machines that are alike.

    ``tensor``, ``pipeline`` and ``precision`` may be left open (0, empty).
    ``backend`` is the engine whose measurements count: that of a NIM profile, or the engine itself.
    """

    model: Model
    gpu: Gpu
    nodes: int
    gpus_per_node: int
    fabric: Fabric | None
    work: answer.Workload
    engine: str = "vllm"
    backend: str = ""
    tensor: int = 0
    pipeline: int = 0
    precision: str = ""
    kv_precision: str = ""
    node_names: tuple[str, ...] = ()
    deployment: str | None = None
    folder: Path | None = None
    gpu_price: float | None = None
    api_price: tuple[float, float] | None = None
    all_fabrics: bool = False
    catalogue: Catalogue = field(default_factory=Catalogue)
    calibration: Calibration = field(default_factory=shipped)
    corrections: Corrections = field(default_factory=Corrections)
    assumed: Assumptions = field(default_factory=assumptions)
    source: str = "options"

    def check(self) -> None:
        """Refuse what makes no sense. Raises RejectedError."""
        self._check_sizes()
        if self.engine not in ENGINES:
            raise RejectedError(f"--engine {self.engine}: expected one of {', '.join(ENGINES)}")
        if self.work.goal not in GOALS:
            raise RejectedError(f"--goal {self.work.goal}: expected one of {', '.join(GOALS)}")
        if self.nodes > 1 and self.fabric is None:
            raise RejectedError(
                f"{self.nodes} nodes and no network between them: say which with --fabric, "
                "such as ndr or 100g"
            )
        if self.work.isl + self.work.osl > self.model.context:
            raise RejectedError(
                f"{self.work.isl} + {self.work.osl} tokens are more than the {self.model.context} of "
                f"{self.model.name}; use a smaller --isl or --osl"
            )
        if self.kv_precision not in ("", "bf16", "fp8"):
            raise RejectedError(f"--kv-precision {self.kv_precision}: expected bf16 or fp8")

    def _check_sizes(self) -> None:
        numbers: dict[str, tuple[int, int, Callable[[int], bool]]] = {
            "--nodes": (self.nodes, 100_000, lambda n: n > 0),
            "--gpus-per-node": (self.gpus_per_node, 72, lambda n: n > 0),
            "--isl": (self.work.isl, 100_000_000, lambda n: n > 0),
            "--osl": (self.work.osl, 100_000_000, lambda n: n > 0),
            "--concurrency": (self.work.concurrency, 1_000_000, lambda n: n > 0),
            "--tensor": (self.tensor, 10_000, lambda n: n >= 0),
            "--pipeline": (self.pipeline, 10_000, lambda n: n >= 0),
        }
        for option, (value, most, good) in numbers.items():
            if not good(value) or value > most:
                raise RejectedError(f"{option} {value}: expected a number from 1 to {most:,}")
        for option, limit in (("--ttft", self.work.ttft_limit_ms), ("--tpot", self.work.tpot_limit_ms)):
            if limit is not None and not 0 < limit < 1e9:
                raise RejectedError(f"{option} {limit:g}: expected a positive number of milliseconds")
        if self.gpu_price is not None and not 0 <= self.gpu_price < 1e6:
            raise RejectedError(f"--gpu-price {self.gpu_price:g}: expected dollars per GPU and hour")

    def formats(self) -> list[Format]:
        """The formats to try, best first. Raises RejectedError for a precision that cannot be."""
        if self.precision:
            name = {"fp4": "nvfp4", "fp16": "bf16"}.get(self.precision, self.precision)
            form = self.model.format(name) or (self.model.format("mxfp4") if name == "nvfp4" else None)
            if form is None:
                known = ", ".join(form.name for form in self.model.formats)
                raise RejectedError(
                    f"--precision {self.precision}: {self.model.name} is not published in it, only in {known}"
                )
            why = unsupported(form, self.gpu)
            if why:
                raise RejectedError(f"--precision {self.precision}: {why}")
            return [form]
        found = [form for form in self.model.formats if not unsupported(form, self.gpu)]
        if not found:
            known = ", ".join(form.name for form in self.model.formats)
            raise RejectedError(
                f"{self.gpu.description} computes none of {self.model.name}'s formats: {known}"
            )
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the nodes."""
        return self.node_names or tuple(f"node-{number}" for number in range(self.nodes))


def unsupported(form: Format, gpu: Gpu) -> str:
    """Why a GPU cannot serve a format; empty where it can."""
    if form.name in ("fp8", "nvfp4") and not gpu.flops.get(form.compute):
        return f"{gpu.description} has no {form.compute.upper()} arithmetic"
    if form.name == "mxfp4" and gpu.generation not in ("hopper", "blackwell"):
        return f"{gpu.description} has no kernels for MXFP4 weights"
    return ""
