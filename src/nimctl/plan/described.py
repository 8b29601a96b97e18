"""The questions of a description: one for each deployment, about the machines it is or may be placed on."""

from __future__ import annotations

from pathlib import Path

from nimctl.cluster import Cluster, Node
from nimctl.description import load
from nimctl.description.document import Deployment
from nimctl.description.nodeset import expand
from nimctl.description.words import nearest
from nimctl.errors import RejectedError
from nimctl.inventory import folder_of
from nimctl.plan.ask import Asked, Options, build, the_model
from nimctl.plan.catalogue import Catalogue
from nimctl.plan.fabric import fabric
from nimctl.plan.question import Question

_PROFILES = {"tensorrt_llm": "trtllm", "trtllm": "trtllm", "vllm": "vllm", "sglang": "sglang"}


def described(options: Options, inventory: Path, name: str | None) -> Asked:
    """The questions of a folder. Raises RejectedError and DescriptionError."""
    cluster = load(inventory)
    wanted = [one for one in cluster.deployments if name in (None, one.name)]
    if not wanted:
        if name is None:
            raise RejectedError(f"{inventory}: describes no deployment, so there is nothing to plan")
        known = [one.name for one in cluster.deployments]
        raise RejectedError(f"{name}: no deployment of {inventory}{nearest(name, known)}")
    folder = options.tables or folder_of(inventory)
    catalogue = Catalogue(folder)
    asked = tuple(_question(options, cluster, one, catalogue, folder) for one in wanted)
    return Asked(asked, cluster.name)


def _question(
    options: Options, cluster: Cluster, one: Deployment, catalogue: Catalogue, folder: Path
) -> Question:
    nodes = _nodes(cluster, one)
    first = nodes[0]
    if one.engine == "rehearsal":
        raise RejectedError(
            f"deployment {one.name}: the rehearsal engine serves a stand-in of a few "
            "kilobytes; there is nothing "
            "to plan. Name a deployment with a real model"
        )
    if first.gpu_model is None:
        raise RejectedError(f"deployment {one.name}: {first.name} has no GPU; a plan is about GPUs")
    per_node = len(one.gpus) if one.gpus else first.gpu_count
    net = None
    if first.fabric:
        net = fabric(first.fabric.rate, per_node, first.fabric.kind, first.fabric.ports, folder=folder)
    elif len(nodes) > 1:
        # Without a fabric ranks meet on the nodes' own addresses; nobody said how fast those are.
        net = fabric("1g", per_node, "ethernet", 1, "ethernet of unknown rate, taken as 1 GbE", folder)
    try:
        model, implied = the_model(one.model, None, catalogue)
    except RejectedError as error:
        raise RejectedError(f"deployment {one.name}: {error}") from error
    tensor, pipeline = one.parallel.tensor or 0, one.parallel.pipeline or 0
    if one.hosts is None and not (tensor and pipeline):
        # The planner says how many of the free nodes a replica takes.
        nodes = nodes[: max(1, len(nodes) // one.replicas)]
    return build(
        options, model, catalogue, folder,
        gpu_name=first.gpu_model, nodes=len(nodes), gpus_per_node=per_node, net=net,
        engine=one.engine, backend=_backend(one), tensor=tensor, pipeline=pipeline,
        precision=options.precision or one.precision or _said(one) or implied,
        node_names=tuple(node.name for node in nodes), deployment=one.name,
    )  # fmt: skip


def _nodes(cluster: Cluster, one: Deployment) -> list[Node]:
    """The nodes of one replica, or those that it may be placed on: as many as are alike."""
    by_name = {node.name: node for node in cluster.nodes}
    if one.hosts is not None:
        hosts = [by_name[host] for host in expand(one.hosts) if host in by_name]
        return hosts[: max(1, len(hosts) // one.replicas)]
    with_gpus = [node for node in cluster.nodes if node.gpu_count and not node.absent]
    if not with_gpus:
        raise RejectedError(f"deployment {one.name}: no node has a GPU; a plan is about GPUs")
    first = with_gpus[0]
    return [
        node for node in with_gpus if (node.gpu_model, node.gpu_count) == (first.gpu_model, first.gpu_count)
    ]


def _backend(one: Deployment) -> str:
    """The engine whose measurements count: a NIM profile begins with its name."""
    profile = (one.profile or "").lower()
    return next((engine for start, engine in _PROFILES.items() if profile.startswith(start)), one.engine)


def _said(one: Deployment) -> str:
    """The precision that a NIM profile names: ``tensorrt_llm-h100-fp8-tp8``."""
    words = (one.profile or "").lower().split("-")
    return next((word for word in words if word in ("fp8", "nvfp4", "bf16", "fp16", "mxfp4", "int4")), "")
