"""How one replica is split: over how many nodes, with how many GPUs of each.

On nodes without GPUs a rank takes the node's one slot, which counts like a GPU.
"""

from __future__ import annotations

from dataclasses import dataclass

from nimctl.description.document import Parallel


@dataclass(frozen=True, slots=True)
class Shape:
    """One replica: ``nodes`` x ``gpus`` (slots, on nodes without GPUs) equals ``tensor`` x ``pipeline``."""

    nodes: int
    gpus: int
    tensor: int
    pipeline: int


@dataclass(frozen=True, slots=True)
class Machine:
    """What one node offers: its GPUs, or the one slot of a node without (``gpus`` 0)."""

    gpus: int

    @property
    def capacity(self) -> int:
        """GPUs or slots."""
        return self.gpus or 1

    def count(self, number: int) -> str:
        """``8 GPUs``, ``1 slot``."""
        return _count(number, "GPU" if self.gpus else "slot")

    def many(self, nodes: int, used: int) -> str:
        """``2 nodes with 8 GPUs each``."""
        if not self.gpus:
            return f"{_count(nodes, 'node')} without GPU, one slot each"
        return f"{_count(nodes, 'node')} with {self.count(used)}{' each' if nodes > 1 else ''}"


class ShapeError(ValueError):
    """The parallelism does not fit; ``field`` is where, within the deployment."""

    def __init__(self, message: str, *field: str) -> None:
        self.field = field or ("parallel",)
        super().__init__(message)


def on_given_nodes(parallel: Parallel, nodes: int, machine: Machine, gpus: int | None) -> Shape:
    """The shape of a replica on given nodes that uses ``gpus`` of each (None: as the parallelism asks)."""
    tensor, pipeline = parallel.tensor, parallel.pipeline
    capacity = machine.capacity
    has = machine.many(nodes, gpus or capacity)
    if gpus is not None:
        return _checked(_complete(parallel, nodes, gpus, machine), parallel)
    if tensor and pipeline:
        world = tensor * pipeline
        if world > nodes * capacity or world % nodes:
            raise ShapeError(
                f"asks for {tensor} x {pipeline} = {machine.count(world)}, but the replica has {has}"
            )
        shape = Shape(nodes, world // nodes, tensor, pipeline)
    elif tensor and tensor > capacity and tensor % nodes == 0:
        shape = Shape(nodes, tensor // nodes, tensor, 1)
    elif tensor:
        shape = Shape(nodes, tensor, tensor, nodes)
    elif pipeline:
        if (capacity * nodes) % pipeline:
            raise ShapeError(
                f"{pipeline} stages do not divide what the replica has, {has}", "parallel", "pipeline"
            )
        shape = Shape(nodes, capacity, capacity * nodes // pipeline, pipeline)
    else:
        shape = Shape(nodes, capacity, capacity, nodes)
    if shape.gpus > capacity:
        message = f"asks for {machine.count(shape.gpus)} of each node, but the replica has {has}"
        raise ShapeError(message, "parallel", "tensor")
    return _checked(shape, parallel)


def on_free_nodes(parallel: Parallel, machine: Machine, gpus: int | None) -> Shape:
    """The shape of a replica that chooses its nodes: as few as possible, all of this kind."""
    tensor, pipeline = parallel.tensor, parallel.pipeline
    capacity = machine.capacity
    if gpus is not None:
        world = (tensor * (pipeline or 1)) if tensor else gpus * (pipeline or 1)
        if world % gpus:
            asked = f"{tensor} x {pipeline or 1} = {machine.count(world)}"
            raise ShapeError(f"asks for {asked}, which do not divide by the {gpus} of each node in `gpus`")
        return _checked(_complete(parallel, world // gpus, gpus, machine), parallel)
    if not tensor:
        nodes = pipeline or 1
        return Shape(nodes, capacity, capacity, nodes)
    world = tensor * (pipeline or 1)
    for nodes in range(-(-world // capacity), world + 1):
        share, rest = divmod(world, nodes)
        if rest == 0 and (share % tensor == 0 or parallel.across_nodes):
            return Shape(nodes, share, tensor, pipeline or 1)
    raise ShapeError(
        f"{tensor} share each layer, more than the {machine.count(capacity)} of a node; use less and more "
        "pipeline stages, or set parallel.across_nodes: true to let tensor parallelism leave a node",
        "parallel",
        "tensor",
    )


def _complete(parallel: Parallel, nodes: int, gpus: int, machine: Machine) -> Shape:
    """Complete what is missing of tensor and pipeline, for GPUs that are all given."""
    world = nodes * gpus
    tensor, pipeline = parallel.tensor, parallel.pipeline
    if tensor is None and pipeline is None:
        tensor, pipeline = gpus, nodes
    elif tensor is None:
        pipeline = pipeline or 1
        tensor = max(world // pipeline, 1)
    elif pipeline is None:
        pipeline = max(world // tensor, 1)
    if tensor * pipeline != world:
        asked = f"{tensor} x {pipeline} = {machine.count(tensor * pipeline)}"
        raise ShapeError(f"asks for {asked}, but the replica has {machine.many(nodes, gpus)}")
    return Shape(nodes, gpus, tensor, pipeline)


def _checked(shape: Shape, parallel: Parallel) -> Shape:
    if shape.gpus % shape.tensor and not parallel.across_nodes:
        raise ShapeError(
            f"{shape.tensor} share each layer, but a node gives only {shape.gpus}, so every layer would "
            f"cross the network; use tensor: {shape.gpus} and pipeline: {shape.nodes}, or set "
            "parallel.across_nodes: true if that is wanted",
            "parallel",
            "tensor",
        )
    return shape


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
