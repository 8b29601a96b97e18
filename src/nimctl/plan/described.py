"""The questions of a description: one for each deployment, about the machines it is or may be placed on."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from nimctl.cluster import Cluster, Node
from nimctl.description import load
from nimctl.description.document import Deployment
from nimctl.description.nodeset import expand
from nimctl.description.words import nearest
from nimctl.errors import RejectedError
from nimctl.inventory import folder_of
from nimctl.lock import read_lock
from nimctl.plan.ask import Asked, Options, build, the_model
from nimctl.plan.catalogue import Catalogue
from nimctl.plan.fabric import fabric
from nimctl.plan.question import Question

_PRECISIONS = ("fp8", "nvfp4", "bf16", "fp16", "mxfp4", "int4")
_PROFILES = {"tensorrt_llm": "trtllm", "trtllm": "trtllm", "vllm": "vllm", "sglang": "sglang"}


def described(options: Options, inventory: Path, name: str | None) -> Asked:
    """The questions of a folder. Raises RejectedError and DescriptionError."""
    cluster = _locked(load(inventory), folder_of(inventory))
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


def _locked(cluster: Cluster, folder: Path) -> Cluster:
    """The cluster with the splits that were filled in before and are locked: those are what runs."""
    lock = read_lock(folder)
    if lock is None or not lock.planned:
        return cluster
    deployments = []
    for one in cluster.deployments:
        split = lock.planned.get(one.name)
        if split and not (one.parallel.tensor or one.parallel.pipeline):
            parallel = one.parallel.model_copy(update={"tensor": split.tensor, "pipeline": split.pipeline})
            precision = one.precision or split.precision or None
            one = one.model_copy(update={"parallel": parallel, "precision": precision})
        deployments.append(one)
    return replace(cluster, deployments=tuple(deployments))


def _question(
    options: Options, cluster: Cluster, one: Deployment, catalogue: Catalogue, folder: Path
) -> Question:
    nodes = _nodes(cluster, one)
    first = nodes[0]
    if one.engine == "rehearsal":
        raise RejectedError(
            f"deployment {one.name}: the rehearsal engine serves a stand-in of a few kilobytes; there is "
            "nothing to plan. Name a deployment with a real model"
        )
    if first.gpu_model is None:
        raise RejectedError(f"deployment {one.name}: {first.name} has no GPU; a plan is about GPUs")
    return asked_of(options, one, nodes, catalogue, folder)


def asked_of(
    options: Options, one: Deployment, nodes: list[Node], catalogue: Catalogue, folder: Path | None
) -> Question:
    """What a deployment asks of nodes that are alike. Raises RejectedError."""
    first = nodes[0]
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
    return build(
        options, model, catalogue, folder,
        gpu_name=first.gpu_model or "", nodes=len(nodes), gpus_per_node=per_node, net=net,
        engine=one.engine, backend=_backend(one),
        tensor=one.parallel.tensor or 0, pipeline=one.parallel.pipeline or 0,
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
    kind = first.gpu_model, first.gpu_count
    alike = [node for node in with_gpus if (node.gpu_model, node.gpu_count) == kind]
    return alike[: max(1, len(alike) // one.replicas)]


def _backend(one: Deployment) -> str:
    """The engine whose measurements count: a NIM profile begins with its name."""
    profile = (one.profile or "").lower()
    return next((engine for start, engine in _PROFILES.items() if profile.startswith(start)), one.engine)


def _said(one: Deployment) -> str:
    """The precision that the weights or a NIM profile name, such as ``hf-5dde110-nim-fp8``.

    The weights come first: NIM's profile of DeepSeek-R1 says bf16, which it computes in, and loads FP8.
    """
    weights = one.weights
    told = [weights.revision, weights.repository] if weights else []
    for text in (*told, one.profile):
        words = re.split("[-_/]", (text or "").lower())
        found = next((word for word in words if word in _PRECISIONS), "")
        if found:
            return found
    return ""
