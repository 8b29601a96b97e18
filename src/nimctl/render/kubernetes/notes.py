"""What a person has to do besides applying the files."""

from __future__ import annotations

from nimctl.image import parse
from nimctl.placement import Placement
from nimctl.render.kubernetes import pods
from nimctl.render.kubernetes.facts import facts
from nimctl.render.kubernetes.names import secret_name
from nimctl.render.kubernetes.site import Site
from nimctl.render.kubernetes.volumes import storage_of
from nimctl.render.replicas import sets


def head(flavor: str) -> list[str]:
    """What every file says at its head."""
    if flavor == "nimservice":
        return ["Needs NVIDIA's NIM operator v3.1 or newer, and LeaderWorkerSet for several nodes."]
    release = facts().leaderworkerset
    return [f"Needs LeaderWorkerSet {release.minimum} or newer ({release.why})."]


def notes(placement: Placement) -> list[str]:
    """Remarks about secrets, storage and network, for the person who applies the files."""
    site = Site.of(placement)
    found = [*_secrets(placement, site)]
    for member in sets(placement):
        rank = member.leader
        if site.rdma_mode(rank) == "host-network":
            found.append(
                f"deployment {rank.deployment}: pods are on the network of their nodes, which no "
                "NetworkPolicy closes; ports of ranks are as open as the nodes' firewall leaves them"
            )
        for mount in rank.mounts:
            entry = storage_of(placement.cluster, mount)
            if mount.read_only and (entry is None or entry.kind in ("existing", "local")):
                claim = site.settings.volumes.get(entry.mount) if entry else None
                if claim is None or claim.claim is None:
                    found.append(
                        f"deployment {rank.deployment}: {mount.source} is read from the node's own folder "
                        "(hostPath), which Pod Security `baseline` forbids; `kubernetes: {volumes: "
                        "{MOUNT: {claim: "
                        "NAME}}}` names a claim instead"
                    )
    return list(dict.fromkeys(found))


def _secrets(placement: Placement, site: Site) -> list[str]:
    variables = sorted({name for rank in placement.ranks for name in rank.secrets})
    found = [
        f"secret {secret_name(name)} in namespace {site.namespace} must hold {name}: kubectl -n "
        f"{site.namespace} create secret generic {secret_name(name)} --from-env-file=FILE (mode 0600, one "
        f"line {name}=...)"
        for name in variables
    ]
    pulls = {
        (secret, parse(rank.image).registry)
        for rank in placement.ranks
        for secret in pods.pull_secrets(placement, site, rank)
    }
    return found + [
        f"secret {secret} in namespace {site.namespace} must hold the login of {registry}: kubectl -n "
        f"{site.namespace} create secret generic {secret} --type=kubernetes.io/dockerconfigjson "
        "--from-file=.dockerconfigjson=FILE"
        for secret, registry in sorted(pulls)
    ]
