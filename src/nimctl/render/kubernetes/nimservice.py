"""NIMServices: the NIM operator makes LeaderWorkerSet, probes and service from them."""

from __future__ import annotations

import math
from typing import Any

from nimctl.errors import RejectedError
from nimctl.image import parse
from nimctl.placement import Placement
from nimctl.render.kubernetes import pods, volumes
from nimctl.render.kubernetes.facts import facts
from nimctl.render.kubernetes.kustomize import Folder, Objects
from nimctl.render.kubernetes.names import labels, secret_name
from nimctl.render.kubernetes.site import Site
from nimctl.render.replicas import Set, sets
from nimctl.render.symbols import marks, only

CONTRACTS = ("nim1-env", "nim1-mpi", "nim2-ray")
"""The contracts that the operator speaks."""


def objects(placement: Placement, site: Site) -> tuple[list[Folder], Objects]:
    """A folder with one NIMService for each set of replicas, and the storage that they share.

    Raises:
        RejectedError: a deployment is none of NIM, or split in a way that the operator does not know.
    """
    members = sets(placement)
    folders: dict[str, Objects] = {}
    for member in members:
        contract = placement.contracts[member.deployment.name]
        _check(member, contract)
        own = folders.setdefault(member.deployment.name, [])
        own.append(_service(placement, site, member, contract))
    folder_list = [Folder(name, own) for name, own in folders.items()]
    return folder_list, volumes.objects(placement, site, members, writable=True)


def _check(member: Set, contract: str) -> None:
    deployment = member.deployment
    if deployment.engine != "nim" or contract not in CONTRACTS:
        raise RejectedError(
            f"deployment {deployment.name}: the NIM operator runs images of NIM with the contracts "
            f"{', '.join(CONTRACTS)}, not engine {deployment.engine} with contract {contract}; use "
            f"--flavor lws"
        )
    if member.size > 1:
        tensor, pipeline = (int(member.leader.environment.get(name, "0") or 0) for name in _SPLIT)
        if contract != "nim1-mpi" and (pipeline != member.size or tensor != len(member.leader.gpus)):
            raise RejectedError(
                f"deployment {deployment.name}: tensor {tensor} and pipeline {pipeline} on {member.size} "
                f"nodes of {len(member.leader.gpus)} GPUs; the NIM operator takes one node for each "
                "pipeline stage and tensor parallelism inside a node only. Use --flavor lws"
            )


_SPLIT = ("NIM_TENSOR_PARALLEL_SIZE", "NIM_PIPELINE_PARALLEL_SIZE")


def _service(placement: Placement, site: Site, member: Set, contract: str) -> dict[str, Any]:
    rank = member.leader
    mode = site.rdma_mode(rank)
    if mode == "host-network":
        raise RejectedError(
            f"deployment {member.deployment.name}: a NIMService cannot ask for the network of its node; set "
            "`kubernetes: {rdma: {mode: shared-device, network: NAME}}`, or use --flavor lws"
        )
    own = labels(placement.cluster, member.deployment.name)
    image = parse(rank.image)
    repository, tag = (image.name, image.tag or "") if image.tag else rank.image.rsplit(":", 1)
    spec: dict[str, Any] = {
        "image": {
            "repository": repository,
            "tag": tag,
            "pullPolicy": "IfNotPresent",
            "pullSecrets": pods.pull_secrets(placement, site, rank),
        },
        "replicas": len(member.replicas),
        "resources": _resources(site, member),
        "storage": _storage(placement, site, member),
        "expose": {"service": {"port": rank.api_port, "type": site.settings.service_type}},
        "startupProbe": _startup(member),
        "userID": pods.cache_owner(rank),
        "groupID": pods.cache_owner(rank),
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
    }
    if rank.secrets:
        spec["authSecret"] = secret_name(rank.secrets[0])
    environment = _environment(placement, member)
    if environment:
        spec["env"] = environment
    selector = pods.node_selector(site, rank)
    if selector:
        spec["nodeSelector"] = selector
    if member.size > 1:
        spec["multiNode"] = _multi_node(member, contract)
    if mode != "none" and site.settings.rdma.network:
        spec["annotations"] = {"k8s.v1.cni.cncf.io/networks": site.settings.rdma.network}
    return {
        "apiVersion": "apps.nvidia.com/v1alpha1",
        "kind": "NIMService",
        "metadata": {"name": member.name, "namespace": site.namespace, "labels": own},
        "spec": spec,
    }


def _resources(site: Site, member: Set) -> dict[str, Any]:
    return pods.resources(site, member.leader, site.rdma_mode(member.leader))


def _startup(member: Set) -> dict[str, Any]:
    probes = pods.probes(member.leader)
    health = member.leader.health
    assert health is not None
    probe = {**probes["startupProbe"], "httpGet": {"path": health.path, "port": "api"}}
    return {"enabled": True, "probe": probe}


def _multi_node(member: Set, contract: str) -> dict[str, Any]:
    health = member.leader.health
    assert health is not None
    found: dict[str, Any] = {
        "backendType": "lws",
        "parallelism": {"pipeline": member.size, "tensor": len(member.leader.gpus)},
    }
    if contract == "nim1-mpi":
        found["mpi"] = {"mpiStartTimeout": health.deadline}
    if contract == "nim2-ray":
        found["ray"] = {"rayPort": member.leader.ports["ray"]}
    return found


def _storage(placement: Placement, site: Site, member: Set) -> dict[str, Any]:
    """The operator mounts one volume for weights and cache alike, and writes to it."""
    found: dict[str, Any] = {}
    for mount in member.leader.mounts:
        entry = volumes.storage_of(placement.cluster, mount)
        if mount.read_only and entry is not None and volumes.has_claim(site, entry):
            found["pvc"] = {"name": volumes.claim_name(site, entry), "create": False}
        elif mount.read_only and entry is not None:
            found["hostPath"] = entry.mount
    if not found:
        cache = site.settings.cache
        own: dict[str, Any] = {
            "name": cache.claim or f"{member.deployment.name}-cache",
            "create": cache.claim is None,
            "volumeAccessMode": "ReadWriteMany",
        }
        if cache.claim is None:
            own["size"] = cache.size
            if cache.storage_class:
                own["storageClass"] = cache.storage_class
        found["pvc"] = own
    if member.leader.shm:
        found["sharedMemorySizeLimit"] = f"{math.ceil(volumes.gibibytes(member.leader.shm))}Gi"
    return found


def _environment(placement: Placement, member: Set) -> list[dict[str, Any]]:
    """What the operator does not set by itself; paths of weights as they are below its own mount."""
    operator = facts().nim_operator
    found = []
    for name, value in member.leader.environment.items():
        if name in operator.environment or (member.worker and member.worker.environment.get(name) != value):
            continue
        if only(value) in ("rank", "address") or "address" in marks(value):
            continue
        for mount in member.leader.mounts:
            entry = volumes.storage_of(placement.cluster, mount)
            if mount.read_only and entry is not None and value == mount.target:
                value = operator.store + mount.source.removeprefix(entry.mount)
        found.append({"name": name, "value": pods.written(value)})
    return found
