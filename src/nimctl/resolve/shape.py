"""How one replica is split: over how many nodes, with how many GPUs of each."""

from __future__ import annotations

from dataclasses import dataclass

from nimctl.description.document import Parallel


@dataclass(frozen=True, slots=True)
class Shape:
    """One replica: ``nodes`` times ``gpus`` (slots, on nodes without GPUs) equals ``tensor`` times ``pipeline``."""

    nodes: int
    gpus: int
    tensor: int
    pipeline: int


class ShapeError(ValueError):
    """The parallelism does not fit; ``field`` is where, within the deployment."""

    def __init__(self, message: str, *field: str) -> None:
        self.field = field or ("parallel",)
        super().__init__(message)


def on_given_nodes(parallel: Parallel, nodes: int, capacity: int, gpus: int | None) -> Shape:
    """The shape of a replica on so many nodes with ``capacity`` GPUs each, of which it uses ``gpus`` (None: as needed)."""
    tensor, pipeline = parallel.tensor, parallel.pipeline
    has = f"{_count(nodes, 'node')} with {_count(gpus or capacity, 'GPU')}{' each' if nodes > 1 else ''}"
    if gpus is not None:
        return _checked(_fill_world(parallel, nodes, gpus, has), parallel, has)
    if tensor and pipeline:
        world = tensor * pipeline
        if world > nodes * capacity or world % nodes:
            raise ShapeError(
                f"asks for {tensor} x {pipeline} = {world} GPUs, but the replica has {has}: {_sum(nodes, capacity)}"
            )
        shape = Shape(nodes, world // nodes, tensor, pipeline)
    elif tensor:
        if tensor > capacity and tensor % nodes == 0:
            shape = Shape(nodes, tensor // nodes, tensor, 1)
        else:
            shape = Shape(nodes, tensor, tensor, nodes)
    elif pipeline:
        if (capacity * nodes) % pipeline:
            raise ShapeError(
                f"{pipeline} stages do not divide the GPUs of the replica, {has}", "parallel", "pipeline"
            )
        shape = Shape(nodes, capacity, capacity * nodes // pipeline, pipeline)
    else:
        shape = Shape(nodes, capacity, capacity, nodes)
    if shape.gpus > capacity:
        raise ShapeError(
            f"asks for {shape.gpus} GPUs of each node, but the replica has {has}", "parallel", "tensor"
        )
    return _checked(shape, parallel, has)


def on_free_nodes(parallel: Parallel, capacity: int, gpus: int | None) -> Shape:
    """The shape of a replica that chooses its nodes: as few as possible, all with ``capacity`` GPUs."""
    tensor, pipeline = parallel.tensor, parallel.pipeline
    if gpus is not None:
        world = (tensor or 1) * (pipeline or 1) if tensor else gpus * (pipeline or 1)
        if world % gpus:
            raise ShapeError(
                f"{tensor} x {pipeline or 1} = {world} GPUs do not divide by the {len_gpus(gpus)} of each node"
            )
        return _checked(_fill_world(parallel, world // gpus, gpus, f"{gpus} GPUs on each node"), parallel, "")
    if not tensor:
        nodes = pipeline or 1
        return Shape(nodes, capacity, capacity, nodes)
    world = tensor * (pipeline or 1)
    for nodes in range(-(-world // capacity), world + 1):
        share, rest = divmod(world, nodes)
        if rest == 0 and (share % tensor == 0 or parallel.across_nodes):
            return Shape(nodes, share, tensor, pipeline or 1)
    raise ShapeError(
        f"{tensor} GPUs for each layer are more than the {capacity} of a node; use less, more pipeline stages, or set "
        "parallel.across_nodes: true to let tensor parallelism leave a node",
        "parallel",
        "tensor",
    )


def _fill_world(parallel: Parallel, nodes: int, gpus: int, has: str) -> Shape:
    """Complete what is missing of tensor and pipeline, for GPUs that are all given."""
    world = nodes * gpus
    tensor, pipeline = parallel.tensor, parallel.pipeline
    if tensor is None and pipeline is None:
        tensor, pipeline = gpus, nodes
    elif tensor is None:
        pipeline = pipeline or 1
        tensor = world // pipeline
    elif pipeline is None:
        pipeline = max(world // tensor, 1)
    if tensor * pipeline != world:
        raise ShapeError(
            f"{tensor} x {pipeline} = {tensor * pipeline} GPUs, but the replica has {has}: {_sum(nodes, gpus)}"
        )
    return Shape(nodes, gpus, tensor, pipeline)


def _checked(shape: Shape, parallel: Parallel, has: str) -> Shape:
    if shape.gpus % shape.tensor and not parallel.across_nodes:
        raise ShapeError(
            f"{shape.tensor} GPUs share each layer, but a node gives only {shape.gpus}, so every layer would cross "
            f"the network ({has}); use tensor: {shape.gpus} with pipeline: {shape.nodes}, or set "
            "parallel.across_nodes: true if that is wanted",
            "parallel",
            "tensor",
        )
    return shape


def len_gpus(count: int) -> str:
    """``1 GPU`` or ``8 GPUs``."""
    return _count(count, "GPU")


def _count(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _sum(nodes: int, gpus: int) -> str:
    return f"{nodes} x {gpus} = {nodes * gpus}"
