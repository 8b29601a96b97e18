"""The package repositories of publishers, or of the mirrors that take their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nimctl.errors import RefusedError
from nimctl.stack.rows import Distribution, Publisher
from nimctl.stack.versions import Versions

_DEBIAN_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Repository:
    """A package repository, or a mirror of it, for one distribution.

    ``kind`` is apt or dnf; ``url`` the base that apt or dnf is given; ``suite`` and ``components`` are
    apt's (``/`` and none for a flat one); ``key_url`` holds one OpenPGP key, whose ``fingerprint`` (40
    hexadecimal digits) it must have.
    """

    id: str
    kind: Literal["apt", "dnf"]
    url: str
    key_url: str
    fingerprint: str
    suite: str = "/"
    components: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()


def repository(
    versions: Versions,
    publisher: str,
    distribution: Distribution,
    architecture: str,
    mirrors: Mapping[str, Any] | None = None,
    version: str = "",
) -> Repository:
    """Where a publisher's packages for a distribution come from.

    ``mirrors`` is ``stack.mirrors`` of a description as literal values: publisher to ``url`` and ``key``
    (a fingerprint). ``version`` is that of DOCA, whose repositories have one each. Raises RefusedError
    where the publisher has nothing for it, or a key whose fingerprint nobody has read.
    """
    row = versions.publisher(publisher)
    mirror = (mirrors or {}).get(publisher) or {}
    folder, machine_folder = _folders(versions, row, publisher, distribution, architecture, version)
    debian = _DEBIAN_MACHINES.get(architecture, architecture)
    words = {
        "base": str(mirror.get("url") or row.base).rstrip("/"),
        "folder": folder,
        "architecture": machine_folder,
        "machine": debian if distribution.manager == "apt" else architecture,
        "version": version,
        # The folder of every distribution also has its key under this name.
        "key": distribution.key or "cuda-archive-keyring.gpg",
    }
    # Only NVIDIA's repository has a key for each distribution.
    own = distribution.fingerprint if publisher == "nvidia" else row.fingerprint
    fingerprint = mirror.get("key") or own
    if not fingerprint:
        raise RefusedError(
            f"the key that signs {words['base']} for {distribution.name} is not known to nimctl "
            f"({row.source}); compare its fingerprint with what the publisher says and give it as "
            f"stack.mirrors.{publisher}.key, with the address as stack.mirrors.{publisher}.url, or choose "
            "the distribution's own packages"
        )
    return Repository(
        id=f"{publisher.replace('_', '-')}-{distribution.name}",
        kind=distribution.manager,
        url=(row.apt if distribution.manager == "apt" else row.dnf).format(**words),
        key_url=row.key.format(**words),
        fingerprint=str(fingerprint).upper(),
        suite=row.suite,
        architectures=(debian,) if distribution.manager == "apt" else (architecture,),
    )


def _folders(
    versions: Versions,
    row: Publisher,
    publisher: str,
    distribution: Distribution,
    architecture: str,
    version: str,
) -> tuple[str, str]:
    if architecture not in distribution.architectures:
        known = ", ".join(distribution.architectures)
        raise RefusedError(f"{distribution.name}: found the architecture {architecture}, expected {known}")
    if publisher != "doca":
        return distribution.folder, distribution.architectures[architecture]
    doca = versions.doca(version or None, distribution)
    return doca.distributions[distribution.name], row.arm if architecture == "aarch64" else architecture
