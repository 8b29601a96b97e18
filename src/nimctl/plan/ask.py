"""From options or from a description to the questions that a plan answers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

from nimctl.errors import RejectedError
from nimctl.plan import answer, checkpoint, cost, own
from nimctl.plan.answer import Goal
from nimctl.plan.calibration import shipped
from nimctl.plan.catalogue import Catalogue
from nimctl.plan.fabric import Fabric, fabric
from nimctl.plan.gpus import gpu
from nimctl.plan.memory import assumptions
from nimctl.plan.model import Model
from nimctl.plan.question import Question

BOARD_GBPS = 200
"""From this rate on a board has one port for each GPU; a slower network is the host's, one port for all."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a person says on the command line."""

    model: str | None = None
    config: Path | None = None
    gpu: str | None = None
    nodes: int = 1
    gpus_per_node: int = 8
    fabric: str | None = None
    ports: int = 0
    isl: int = 1024
    osl: int = 1024
    concurrency: int = 16
    tensor: int | None = None
    pipeline: int | None = None
    precision: str = ""
    kv_precision: str = ""
    engine: str | None = None
    goal: str = "latency"
    ttft: float | None = None
    tpot: float | None = None
    gpu_price: float | None = None
    api_price: str | None = None
    calibrate: Path | None = None
    tables: Path | None = None

    def workload(self) -> answer.Workload:
        """What is asked of it."""
        return answer.Workload(
            self.isl, self.osl, self.concurrency, cast(Goal, self.goal), self.ttft, self.tpot
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """The questions; ``cluster`` is the name of the description that they come from."""

    questions: tuple[Question, ...]
    cluster: str | None = None


def questions(options: Options, inventory: Path | None = None, deployment: str | None = None) -> Asked:
    """The questions of a call. Raises RejectedError."""
    if options.tables is not None and not options.tables.is_dir():
        raise RejectedError(f"--tables {options.tables}: is no folder")
    for option, value in (("--tensor", options.tensor), ("--pipeline", options.pipeline)):
        if value is not None and value < 1:
            raise RejectedError(f"{option} {value}: expected a number of at least 1")
    if inventory is not None:
        from nimctl.plan.described import described

        given = [
            name
            for name in ("model", "config", "gpu", "fabric", "tensor", "pipeline", "engine")
            if getattr(options, name) not in (None, "all")
        ]
        if given:
            raise RejectedError(f"--{given[0]}: the description says that; leave it out together with -i")
        return described(options, inventory, deployment)
    if deployment is not None:
        raise RejectedError(f"{deployment}: names a deployment of a description; give its folder with -i")
    return Asked((question(options),))


def question(options: Options) -> Question:
    """The question of options alone. Raises RejectedError."""
    if options.gpu is None:
        raise RejectedError("which GPU? Give --gpu, such as h100-sxm, or a description with -i")
    folder = options.tables
    catalogue = Catalogue(folder)
    model, implied = the_model(options.model, options.config, catalogue)
    for option, value in (("--nodes", options.nodes), ("--gpus-per-node", options.gpus_per_node)):
        if value < 1:
            raise RejectedError(f"{option} {value}: expected a number of at least 1")
    everything = options.fabric == "all"
    rate = "ndr" if everything else options.fabric
    net = fabric(rate, options.gpus_per_node, ports=options.ports, folder=folder) if rate else None
    if net and not options.ports and net.gbps < BOARD_GBPS:
        net = fabric(net.rate, options.gpus_per_node, net.kind, 1, folder=folder)
    engine = options.engine or "vllm"
    return build(
        options, model, catalogue, folder,
        gpu_name=options.gpu, nodes=options.nodes, gpus_per_node=options.gpus_per_node, net=net,
        engine=engine, backend=engine, tensor=options.tensor or 0, pipeline=options.pipeline or 0,
        precision=options.precision or implied,
    )  # fmt: skip


def the_model(name: str | None, config: Path | None, catalogue: Catalogue) -> tuple[Model, str]:
    """The model of a name or of a config, and the precision that the name implies. Raises RejectedError."""
    if config is not None:
        if name is not None:
            raise RejectedError("--model and --config both say which model; give one of them")
        return checkpoint.read(config), ""
    if name is None:
        raise RejectedError("which model? Give --model, --config, or a description with -i")
    return catalogue.find(name)


def build(
    options: Options, model: Model, catalogue: Catalogue, folder: Path | None, *, gpu_name: str, nodes: int,
    gpus_per_node: int, net: Fabric | None, engine: str, backend: str, tensor: int, pipeline: int,
    precision: str,
    node_names: tuple[str, ...] = (), deployment: str | None = None,
) -> Question:  # fmt: skip
    """A question from parts. Raises RejectedError."""
    calibration = shipped()
    corrections = own.Corrections()
    if options.calibrate is not None:
        corrections = own.corrections(options.calibrate, catalogue, calibration, folder)
    return Question(
        model, gpu(gpu_name, folder), nodes, gpus_per_node, net, options.workload(),
        engine, backend, tensor, pipeline, precision, options.kv_precision, node_names, deployment, folder,
        options.gpu_price, cost.own_price(options.api_price) if options.api_price else None,
        options.fabric == "all", catalogue, calibration, corrections, assumptions(folder),
        "options" if deployment is None else "description",
    )  # fmt: skip
