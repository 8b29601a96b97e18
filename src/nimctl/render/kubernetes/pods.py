"""The pod of a rank: containers, environment, probes, devices, rights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from nimctl.image import parse
from nimctl.inventory import registry_logins
from nimctl.placement import Mount, Placement, Rank
from nimctl.render.kubernetes import volumes
from nimctl.render.kubernetes.facts import facts
from nimctl.render.kubernetes.names import WORKER_INDEX, secret_name
from nimctl.render.kubernetes.site import RdmaMode, Site
from nimctl.render.symbols import marks, only, spell

CONTAINER = "engine"
PROBE_PERIOD = 10

# A rank's number and address come from the downward API: the label is there in every release of LWS, the
# variable
# LWS_WORKER_INDEX only from v0.6.0 on.
_FIELDS = {"rank": f"metadata.labels['{WORKER_INDEX}']", "address": "status.podIP"}
_VARIABLES = {"rank": "NIMCTL_RANK", "address": "NIMCTL_ADDRESS"}
_WORDS = {
    "rank": "$(NIMCTL_RANK)",
    "address": "$(NIMCTL_ADDRESS)",
    "nodes": "$(LWS_GROUP_SIZE)",
    "leader_address": "$(LWS_LEADER_ADDRESS)",
}


def written(text: str) -> str:
    """A text for ``env``, ``command`` or ``args``, where Kubernetes takes ``$(X)`` for a variable."""
    return spell(text, _WORDS, lambda literal: literal.replace("$", "$$"))


def shared_environment(ranks: list[Rank]) -> dict[str, str]:
    """The variables that all these ranks have alike and that nothing about a pod decides: for a ConfigMap."""
    first, *others = ranks
    return {
        name: value
        for name, value in first.environment.items()
        if not marks(value) and all(rank.environment.get(name) == value for rank in others)
    }


def environment(rank: Rank, shared: Mapping[str, str]) -> list[dict[str, Any]]:
    """``env`` of a container: what the ConfigMap does not have, helpers first."""
    entries: list[dict[str, Any]] = []
    own = {name: value for name, value in rank.environment.items() if name not in shared}
    texts = [*rank.command, *(value for value in own.values() if only(value) not in _FIELDS)]
    for field in sorted(frozenset().union(*map(marks, texts)) & _FIELDS.keys()):
        entries.append(_from_field(_VARIABLES[field], field))
    for name, value in own.items():
        field_name = only(value)
        if field_name in _FIELDS:
            entries.append(_from_field(name, field_name or ""))
        else:
            entries.append({"name": name, "value": written(value)})
    for name in rank.secrets:
        reference = {"name": secret_name(name), "key": name}
        entries.append({"name": name, "valueFrom": {"secretKeyRef": reference}})
    return entries


def _from_field(name: str, field: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": _FIELDS[field]}}}


def pod(
    placement: Placement, site: Site, rank: Rank, labels: Mapping[str, str], config_map: str, shared: set[str]
) -> dict[str, Any]:
    """The pod template of a rank: metadata and spec."""
    mode = site.rdma_mode(rank)
    metadata: dict[str, Any] = {"labels": dict(labels)}
    if mode != "none" and mode != "host-network" and site.settings.rdma.network:
        metadata["annotations"] = {"k8s.v1.cni.cncf.io/networks": site.settings.rdma.network}
    return {"metadata": metadata, "spec": _spec(placement, site, rank, mode, config_map, shared)}


def _spec(
    placement: Placement, site: Site, rank: Rank, mode: RdmaMode, config_map: str, shared: set[str]
) -> dict[str, Any]:
    owner = cache_owner(rank)
    spec: dict[str, Any] = {
        "automountServiceAccountToken": False,
        # A service named after an engine would set variables that the engine takes for its own (VLLM_PORT).
        "enableServiceLinks": False,
    }
    secrets = pull_secrets(placement, site, rank)
    if secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in secrets]
    if mode == "host-network":
        spec.update({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"})
    pod_context: dict[str, Any] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if owner:
        pod_context = {
            "fsGroup": owner,
            "fsGroupChangePolicy": "OnRootMismatch",
            "runAsGroup": owner,
            "runAsNonRoot": True,
            "runAsUser": owner,
            **pod_context,
        }
    spec["securityContext"] = pod_context
    spec["terminationGracePeriodSeconds"] = rank.stop_timeout
    if rank.gpus:
        spec["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    selector = node_selector(site, rank)
    if selector:
        spec["nodeSelector"] = selector
    spec["containers"] = [_container(placement, site, rank, mode, config_map, shared)]
    spec["volumes"] = volumes.of_pod(placement, site, rank)
    return spec


def _container(
    placement: Placement, site: Site, rank: Rank, mode: RdmaMode, config_map: str, shared: set[str]
) -> dict[str, Any]:
    container: dict[str, Any] = {"name": CONTAINER, "image": rank.image, "imagePullPolicy": "IfNotPresent"}
    if rank.entrypoint:
        container["command"] = [rank.entrypoint]
    if rank.command:
        container["args"] = [written(word) for word in rank.command]
    if config_map:
        container["envFrom"] = [{"configMapRef": {"name": config_map}}]
    own = environment(rank, dict.fromkeys(shared, ""))
    if own:
        container["env"] = own
    if rank.health is not None:
        container["ports"] = [{"name": "http", "containerPort": rank.health.port, "protocol": "TCP"}]
        container.update(probes(rank))
    container["resources"] = resources(site, rank, mode)
    capabilities: dict[str, Any] = {"drop": ["ALL"]}
    if mode != "none":
        capabilities["add"] = ["IPC_LOCK"]
    container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": capabilities}
    container["volumeMounts"] = volumes.of_container(placement, rank)
    return container


def probes(rank: Rank) -> dict[str, Any]:
    """Probes of a leader: nothing is killed before the contract's deadline, nobody asks before it serves."""
    health = rank.health
    assert health is not None
    ready = {
        "httpGet": {"path": health.path, "port": "http"},
        "periodSeconds": PROBE_PERIOD,
        "timeoutSeconds": 5,
    }
    live = {**ready, "httpGet": {"path": health.live or health.path, "port": "http"}}
    return {
        "startupProbe": {**ready, "failureThreshold": math.ceil(health.deadline / PROBE_PERIOD)},
        "readinessProbe": {**ready, "failureThreshold": 3},
        "livenessProbe": {**live, "failureThreshold": 12},
    }


def resources(site: Site, rank: Rank, mode: RdmaMode) -> dict[str, Any]:
    """Requests and limits; devices are whole, so both are the same for them."""
    wanted = site.settings.requests
    share = max(len(rank.gpus), 1)
    devices = {"nvidia.com/gpu": str(len(rank.gpus))} if rank.gpus else {}
    devices.update(site.rdma_resource(mode))
    memory = wanted.memory_gib_per_gpu * share + math.ceil(volumes.gibibytes(rank.shm))
    requests = {
        "cpu": str(wanted.cpu_per_gpu * share),
        "ephemeral-storage": f"{wanted.ephemeral_gib}Gi",
        "memory": f"{memory}Gi",
        **devices,
    }
    return {"limits": devices, "requests": requests} if devices else {"requests": requests}


def node_selector(site: Site, rank: Rank) -> dict[str, str]:
    """Labels of the nodes that a rank may run on."""
    model = site.nodes[rank.node].gpu_model if rank.gpus else None
    product = facts().gpu_products.get(model or "")
    own = {"nvidia.com/gpu.product": product} if product else {}
    return dict(sorted({**own, **site.settings.node_selector}.items()))


def cache(rank: Rank) -> Mount | None:
    """The folder that the engine writes."""
    return next((mount for mount in rank.mounts if not mount.read_only), None)


def cache_owner(rank: Rank) -> int:
    """The user that the image runs as, as far as its cache tells; 0 for root or unknown."""
    mount = cache(rank)
    return mount.owner or 0 if mount else 0


def pull_secrets(placement: Placement, site: Site, rank: Rank) -> list[str]:
    """Names of the secrets with which the image is pulled."""
    if site.settings.pull_secret:
        return [site.settings.pull_secret]
    registry = parse(rank.image).registry
    hosts = {login["host"] for login in registry_logins(placement.cluster)}
    # NVIDIA's registry gives NIM images to nobody without a key, described or not.
    if registry in hosts or registry == "nvcr.io":
        return [f"{secret_name(registry)}-pull"]
    return []
