"""Names, labels and annotations of what is rendered."""

from __future__ import annotations

import hashlib
import re

from nimctl.cluster import Cluster
from nimctl.render.replicas import Set

LWS_NAME = "leaderworkerset.sigs.k8s.io/name"
WORKER_INDEX = "leaderworkerset.sigs.k8s.io/worker-index"
EXCLUSIVE_TOPOLOGY = "leaderworkerset.sigs.k8s.io/exclusive-topology"
ZONE = "topology.kubernetes.io/zone"


def labels(cluster: Cluster, deployment: str) -> dict[str, str]:
    """The labels that Kubernetes recommends, on every object of a deployment."""
    return {
        "app.kubernetes.io/managed-by": "nimctl",
        "app.kubernetes.io/name": deployment,
        "app.kubernetes.io/part-of": cluster.name,
    }


def selector(cluster: Cluster, deployment: str) -> dict[str, str]:
    """Labels that tell the pods of a deployment from all others."""
    own = labels(cluster, deployment)
    return {name: own[name] for name in ("app.kubernetes.io/name", "app.kubernetes.io/part-of")}


def leader_selector(cluster: Cluster, deployment: str, members: list[Set]) -> dict[str, str]:
    """Labels that tell the leaders of a deployment from its workers, by what LeaderWorkerSet sets itself."""
    one = {LWS_NAME: members[0].name} if len(members) == 1 else {}
    return {**selector(cluster, deployment), **one, WORKER_INDEX: "0"}


def secret_name(text: str) -> str:
    """A variable or a registry as the name of a secret: NGC_API_KEY is ngc-api-key."""
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.").replace(".", "-")


def volume_name(path: str) -> str:
    """A mount point as the name of a volume: /srv/models is srv-models."""
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")[:50] or "root"


def config_map_name(name: str, content: dict[str, str]) -> str:
    """A name that changes with the content, so that a change reaches the pods as a rollout."""
    text = "\n".join(f"{key}={value}" for key, value in sorted(content.items()))
    return f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
