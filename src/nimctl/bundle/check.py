"""Whether a bundle has all that a description needs now."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from nimctl.bundle.layout import Platform
from nimctl.bundle.questions import Kind
from nimctl.bundle.store import Store
from nimctl.bundle.wishes import Ask, wishes_of
from nimctl.errors import RefusedError, RejectedError
from nimctl.image import parse
from nimctl.lock import Lock
from nimctl.placement import Placement
from nimctl.run.names import fold
from nimctl.stack.repositories import Repository
from nimctl.stack.versions import Versions

HUB = "docker.io"


def known_hosts(store: Store, nodes: list[str]) -> dict[str, Mapping[str, Any]]:
    """The hardware and system of each node as the bundle has it. Raises RejectedError for unknown nodes."""
    hosts = {node: store.about.host(node) for node in nodes}
    unknown = [node for node, host in hosts.items() if host is None]
    if unknown:
        raise RejectedError(
            f"{store.path}: the bundle was made for {fold(store.about.nodes)}, without {fold(unknown)}. "
            "Nothing was done. Make it again with nimctl bundle"
        )
    return {node: host for node, host in hosts.items() if host is not None}


def lacking(store: Store, placement: Placement, lock: Lock, kinds: list[Kind], tables: Versions) -> list[str]:
    """What the description needs and the bundle lacks, in sentences."""
    return [
        *_images(store, placement, lock),
        *(each for kind in kinds for each in _packages(store, kind, tables)),
    ]


def require(store: Store, placement: Placement, lock: Lock, kinds: list[Kind], tables: Versions) -> None:
    """Raise RejectedError with all that a bundle lacks."""
    found = lacking(store, placement, lock, kinds, tables)
    if found:
        raise RejectedError(
            f"{store.path}: the bundle lacks what the description needs. Nothing was done.\n"
            + "\n".join(f"  {each}" for each in found)
            + "\nMake it again with nimctl bundle, where the network is."
        )


def _images(store: Store, placement: Placement, lock: Lock) -> list[str]:
    said = []
    have = {(parse(image.reference).name, image.digest) for image in store.about.images}
    engine = placement.cluster.stack.container_engine.engine
    for reference in sorted({deployment.image for deployment in placement.cluster.deployments}):
        image = parse(reference)
        digest = image.digest or lock.images.get(reference)
        if digest is None:
            said.append(
                f"the digest of {reference} is not locked: take description/cluster.lock.yml of the bundle"
            )
        elif (image.name, digest) not in have:
            said.append(f"the image {reference} with the digest {digest}")
        if engine == "docker" and not redirectable(image.registry):
            said.append(
                f"a way to give {reference} to docker by digest: docker takes it only from {image.registry} "
                "itself. Use podman (stack.container_engine.engine), or name a registry of your own"
            )
    return said


def redirectable(registry: str) -> bool:
    """Whether docker can be told, for a moment, to take images of a registry from the node itself."""
    host = registry.rpartition(":")[0] if registry.rpartition(":")[2].isdigit() else registry
    if registry == HUB:
        return False
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return True
    return False


def _packages(store: Store, kind: Kind, tables: Versions) -> list[str]:
    platform = store.about.platform(kind.nodes[0])
    assert platform is not None
    try:
        wishes = wishes_of(list(kind.nodes), kind.host, kind.questions, offers_of(platform), tables)
    except RefusedError as error:
        return [str(error)]
    said = []
    for name, version in sorted(wishes.packages.items()):
        there = platform.packages.get(name, ())
        if not there or (version and version not in there):
            has = f"; it has {', '.join(there)}" if there else ""
            said.append(f"{fold(kind.nodes)}: the package {name} {version}".rstrip() + has)
    return said


def offers_of(platform: Platform) -> Ask:
    """What a bundle offers, as planners ask for it."""

    def ask(repository: Repository, names: tuple[str, ...]) -> dict[str, list[str]]:
        return {name: list(platform.packages.get(name, ())) for name in names}

    return ask
