"""One LeaderWorkerSet for each set of replicas that are alike, and what belongs to it."""

from __future__ import annotations

from typing import Any

from nimctl.errors import RejectedError
from nimctl.placement import Placement, Rank
from nimctl.render.kubernetes import network, pods, volumes
from nimctl.render.kubernetes.kustomize import Folder, Objects
from nimctl.render.kubernetes.names import (
    EXCLUSIVE_TOPOLOGY,
    LWS_NAME,
    ZONE,
    config_map_name,
    labels,
    selector,
)
from nimctl.render.kubernetes.site import Site
from nimctl.render.replicas import Set, difference, sets, template


def objects(placement: Placement, site: Site) -> tuple[list[Folder], Objects]:
    """The objects of every deployment, in a folder each, and those that deployments share.

    Raises:
        RejectedError: the ranks of a replica differ in more than a template can say.
    """
    members = sets(placement)
    folders: dict[str, list[Set]] = {}
    for member in members:
        _check_alike(member)
        folders.setdefault(member.deployment.name, []).append(member)
    return (
        [Folder(name, _deployment(placement, site, own)) for name, own in folders.items()],
        volumes.objects(placement, site, members),
    )


def _check_alike(member: Set) -> None:
    for ranks in member.replicas:
        for rank in ranks[2:]:
            if template(rank) != template(ranks[1]):
                raise RejectedError(
                    f"deployment {rank.deployment}: ranks {ranks[1].rank} ({ranks[1].node}) and {rank.rank} "
                    f"({rank.node}) differ in {difference(ranks[1], rank)}, and a LeaderWorkerSet has "
                    f"one template "
                    "for all workers. Use nodes that are alike, or `kubernetes: {rdma: {mode: "
                    "shared-device}}`, with "
                    "which pods do not see the names of the nodes' interfaces"
                )


def _deployment(placement: Placement, site: Site, members: list[Set]) -> Objects:
    cluster, deployment = placement.cluster, members[0].deployment
    found: Objects = []
    for member in members:
        ranks = [rank for replica in member.replicas for rank in replica]
        shared = pods.shared_environment(ranks)
        name = config_map_name(member.name, shared) if shared else ""
        if shared:
            found.append(_config_map(placement, site, member, name, shared))
        found += volumes.cache_claims(placement, site, member)
        found.append(_leader_worker_set(placement, site, member, name, set(shared)))
        found.append(_disruption_budget(placement, site, member))
    found.append(network.service(cluster, site, deployment.name, members))
    if all(site.rdma_mode(rank) != "host-network" for rank in (members[0].leader,)):
        found += network.policies(cluster, site, deployment.name, members)
    return found


def _config_map(
    placement: Placement, site: Site, member: Set, name: str, shared: dict[str, str]
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name,
            "namespace": site.namespace,
            "labels": labels(placement.cluster, member.deployment.name),
        },
        "immutable": True,
        "data": shared,
    }


def _leader_worker_set(
    placement: Placement, site: Site, member: Set, config_map: str, shared: set[str]
) -> dict[str, Any]:
    own = labels(placement.cluster, member.deployment.name)

    def pod(rank: Rank) -> dict[str, Any]:
        result = pods.pod(placement, site, rank, own, config_map, shared)
        if member.size > 1 and site.settings.topology is None:
            result["spec"]["affinity"] = _near(member)
        return result

    templates = {"workerTemplate": pod(member.leader)}
    if member.worker is not None:
        templates = {"leaderTemplate": pod(member.leader), "workerTemplate": pod(member.worker)}
    metadata: dict[str, Any] = {"name": member.name, "namespace": site.namespace, "labels": own}
    if member.size > 1 and site.settings.topology is not None:
        metadata["annotations"] = {EXCLUSIVE_TOPOLOGY: site.settings.topology}
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": metadata,
        "spec": {
            "replicas": len(member.replicas),
            # A leader is ready only when its workers have joined: LeaderReady would wait for ever.
            "startupPolicy": "LeaderCreated",
            "networkConfig": {"subdomainPolicy": "Shared"},
            "rolloutStrategy": {
                "type": "RollingUpdate",
                # A surge would need the GPUs of a whole replica to be free.
                "rollingUpdateConfiguration": {"maxSurge": 0, "maxUnavailable": 1},
            },
            "leaderWorkerTemplate": {
                "size": member.size,
                "restartPolicy": "RecreateGroupOnPodRestart",
                **templates,
            },
        },
    }


def _near(member: Set) -> dict[str, Any]:
    """Ranks of a set in one zone, where that is possible: they talk to each other for every token."""
    term = {"labelSelector": {"matchLabels": {LWS_NAME: member.name}}, "topologyKey": ZONE}
    wish = {"weight": 100, "podAffinityTerm": term}
    return {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [wish]}}


def _disruption_budget(placement: Placement, site: Site, member: Set) -> dict[str, Any]:
    """Of several replicas one rank at a time may be evicted; of one replica none."""
    ranks = sum(len(replica) for replica in member.replicas)
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": member.name,
            "namespace": site.namespace,
            "labels": labels(placement.cluster, member.deployment.name),
        },
        "spec": {
            "minAvailable": ranks - 1 if len(member.replicas) > 1 else ranks,
            "selector": {
                "matchLabels": {**selector(placement.cluster, member.deployment.name), LWS_NAME: member.name}
            },
            # A replica that does not run keeps nobody from emptying its nodes.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
