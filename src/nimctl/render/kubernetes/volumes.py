"""Volumes: weights from the cluster's storage, the engine's cache, shared memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from nimctl.cluster import Cluster
from nimctl.description.document import KubernetesVolume, Storage
from nimctl.errors import RejectedError
from nimctl.placement import Mount, Placement, Rank
from nimctl.render.kubernetes.facts import facts
from nimctl.render.kubernetes.names import labels, volume_name
from nimctl.render.kubernetes.site import Site
from nimctl.render.replicas import Set

SHM = "shm"
CACHE = "cache"
_UNITS = {"k": 1 / 1024**2, "m": 1 / 1024, "g": 1.0}


def gibibytes(size: str) -> float:
    """A size as container engines write it (16g) in GiB; 0 for none."""
    match = re.fullmatch(r"([0-9]+)([kmg])", size)
    return int(match[1]) * _UNITS[match[2]] if match else 0.0


def storage_of(cluster: Cluster, mount: Mount) -> Storage | None:
    """The storage that a folder lies on, the innermost one; None for a folder of the node."""
    path = PurePosixPath(mount.source)
    found = [entry for entry in cluster.storage if path.is_relative_to(entry.mount)]
    return max(found, key=lambda entry: len(entry.mount), default=None)


def has_claim(site: Site, entry: Storage) -> bool:
    """Whether pods reach a storage by a claim, and not as a folder of their node."""
    return entry.kind in ("nfs", "lustre") or _settings(site, entry).claim is not None


def _settings(site: Site, entry: Storage) -> KubernetesVolume:
    return site.settings.volumes.get(entry.mount, KubernetesVolume())


def claim_name(site: Site, entry: Storage) -> str:
    """The claim by which pods reach a storage."""
    return _settings(site, entry).claim or volume_name(entry.mount)


def cache_claim(site: Site, rank: Rank) -> str | None:
    """The claim for an engine's cache: where it downloads weights, which no pod may lose. Else none."""
    if site.settings.cache.claim:
        return site.settings.cache.claim
    return None if any(mount.read_only for mount in rank.mounts) else f"{rank.deployment}-cache"


def of_pod(placement: Placement, site: Site, rank: Rank) -> list[dict[str, Any]]:
    """The volumes of a pod."""
    found: dict[str, dict[str, Any]] = {}
    for mount in rank.mounts:
        name, source = _volume(placement.cluster, site, rank, mount)
        found[name] = {"name": name, **source}
    if rank.shm:
        memory = {"medium": "Memory", "sizeLimit": f"{rank.shm[:-1]}{rank.shm[-1].upper()}i"}
        found[SHM] = {"name": SHM, "emptyDir": memory}
    return list(found.values())


def _volume(cluster: Cluster, site: Site, rank: Rank, mount: Mount) -> tuple[str, dict[str, Any]]:
    if not mount.read_only:
        claim = cache_claim(site, rank)
        if claim:
            return CACHE, {"persistentVolumeClaim": {"claimName": claim}}
        return CACHE, {"emptyDir": {"sizeLimit": f"{site.settings.requests.ephemeral_gib}Gi"}}
    entry = storage_of(cluster, mount)
    if entry is not None and has_claim(site, entry):
        claim = claim_name(site, entry)
        return volume_name(entry.mount), {"persistentVolumeClaim": {"claimName": claim, "readOnly": True}}
    kind = "File" if PurePosixPath(mount.source).suffix else "Directory"
    return volume_name(mount.source), {"hostPath": {"path": mount.source, "type": kind}}


def of_container(placement: Placement, rank: Rank) -> list[dict[str, Any]]:
    """Where the container sees its volumes."""
    site = Site.of(placement)
    found = []
    for mount in rank.mounts:
        name, source = _volume(placement.cluster, site, rank, mount)
        entry: dict[str, Any] = {"name": name, "mountPath": mount.target}
        if mount.read_only:
            entry["readOnly"] = True
        storage = storage_of(placement.cluster, mount) if "persistentVolumeClaim" in source else None
        if storage is not None and mount.read_only and mount.source != storage.mount:
            entry["subPath"] = str(PurePosixPath(mount.source).relative_to(storage.mount))
        found.append(entry)
    if rank.shm:
        found.append({"name": SHM, "mountPath": "/dev/shm"})  # noqa: S108 - where shared memory is
    return found


def objects(
    placement: Placement, site: Site, members: Sequence[Set], writable: bool = False
) -> list[dict[str, Any]]:
    """Volumes and claims of the storage that ranks read; ``writable`` where pods write to it."""
    cluster = placement.cluster
    used = {
        entry.mount: entry
        for member in members
        for ranks in member.replicas
        for rank in ranks
        for mount in rank.mounts
        for entry in [storage_of(cluster, mount)]
        if entry is not None and mount.read_only and has_claim(site, entry)
    }
    found: list[dict[str, Any]] = []
    for mount in sorted(used):
        if _settings(site, used[mount]).claim is None:
            found += _persistent_volume(cluster, site, used[mount], writable)
    return found


def _persistent_volume(cluster: Cluster, site: Site, entry: Storage, writable: bool) -> list[dict[str, Any]]:
    settings = _settings(site, entry)
    name = claim_name(site, entry)
    access = ["ReadWriteMany" if writable else "ReadOnlyMany"]
    full_name = f"{site.namespace}-{name}"
    csi = _csi(cluster, site, entry, full_name, settings)
    if not writable:
        csi["readOnly"] = True
    volume_spec: dict[str, Any] = {
        "accessModes": access,
        "capacity": {"storage": settings.size},
        "claimRef": {"name": name, "namespace": site.namespace},
        "csi": csi,
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "",
    }
    options = _mount_options(entry)
    if options:
        volume_spec["mountOptions"] = options
    own = {"app.kubernetes.io/managed-by": "nimctl", "app.kubernetes.io/part-of": cluster.name}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": full_name, "labels": own},
        "spec": volume_spec,
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": site.namespace, "labels": own},
        "spec": {
            "accessModes": access,
            "resources": {"requests": {"storage": settings.size}},
            "storageClassName": "",
            "volumeName": full_name,
        },
    }
    return [volume, claim]


def _csi(
    cluster: Cluster, site: Site, entry: Storage, name: str, settings: KubernetesVolume
) -> dict[str, Any]:
    driver = settings.driver or facts().csi_drivers[entry.kind]
    node = site.nodes.get(entry.server or "")
    server = node.rank_address if node else entry.server
    if entry.kind == "nfs":
        share = {"server": server, "share": entry.export}
        return {"driver": driver, "volumeHandle": f"{cluster.name}-{name}", "volumeAttributes": share}
    if driver != facts().csi_drivers["lustre"]:
        raise RejectedError(
            f"kubernetes.volumes[{entry.mount}].driver: nimctl knows what "
            f"{facts().csi_drivers['lustre']} wants to "
            f"be told, not what {driver} does; make its claim by hand and name it with `claim`"
        )
    return {"driver": driver, "fsType": "lustre", "volumeHandle": f"{server}:{entry.export}"}


def _mount_options(entry: Storage) -> list[str]:
    """Options of the mount; those by which nimctl mounts the same storage on nodes."""
    if entry.kind != "nfs":
        return list(entry.options)
    own = [f"nconnect={entry.nconnect or 8}"] if not entry.rdma else ["proto=rdma", "port=20049"]
    return ["nfsvers=4.2", "hard", *own, *entry.options]


def cache_claims(placement: Placement, site: Site, member: Set) -> list[dict[str, Any]]:
    """The claim for a deployment's cache, where one is made for it."""
    claim = cache_claim(site, member.leader)
    if claim is None or site.settings.cache.claim or not any(not m.read_only for m in member.leader.mounts):
        return []
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteMany"],
        "resources": {"requests": {"storage": site.settings.cache.size}},
    }
    if site.settings.cache.storage_class:
        spec["storageClassName"] = site.settings.cache.storage_class
    return [
        {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": claim,
                "namespace": site.namespace,
                "labels": labels(placement.cluster, member.deployment.name),
            },
            "spec": spec,
        }
    ]
