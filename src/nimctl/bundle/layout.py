"""What a bundle looks like on disk.

A folder, or a tar of it without compression::

    bundle.json                     what it is and what it was made for
    SHA256SUMS                      every other file, as `sha256sum --check` reads it
    description/                    cluster.yml and cluster.lock.yml that it was made for
    packages/<platform>/            one repository for apt or dnf, such as debian-13-x86_64
    images/                         an OCI image layout
    weights/manifest.json           which weights, in which revision; files/ where they were asked for
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from nimctl.errors import RejectedError
from nimctl.image import is_digest

FORMAT = 1
ABOUT = "bundle.json"
SUMS = "SHA256SUMS"
DESCRIPTION = "description"
PACKAGES = "packages"
IMAGES = "images"
BLOBS = f"{IMAGES}/blobs/sha256"
WEIGHTS = "weights/manifest.json"
WEIGHT_FILES = "weights/files"

_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")


@dataclass(frozen=True, slots=True)
class Platform:
    """What one kind of node runs: a row of distributions.yml and an architecture as uname -m says it.

    ``packages`` maps the names of all packages in the repository to their versions.
    """

    distribution: str
    architecture: str
    manager: str
    packages: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its folder, such as ``debian-13-x86_64``."""
        return f"{self.distribution}-{self.architecture}"


@dataclass(frozen=True, slots=True)
class Image:
    """One image: as the description names it, its digest, and the digests of all blobs that it is made of."""

    reference: str
    digest: str
    blobs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class About:
    """The content of bundle.json.

    ``nodes`` maps nodes to the names of their platforms; ``hosts`` has for each group of equal nodes the
    hardware and system that their packages were chosen for, as ``host_probe`` gives it.
    """

    cluster: str
    made: str
    nimctl: str
    description: Mapping[str, str]
    platforms: tuple[Platform, ...]
    nodes: Mapping[str, str]
    hosts: tuple[Mapping[str, Any], ...]
    images: tuple[Image, ...]

    def platform(self, node: str) -> Platform | None:
        """The platform of a node, None for a node that the bundle was not made for."""
        name = self.nodes.get(node)
        return next((platform for platform in self.platforms if platform.name == name), None)

    def host(self, node: str) -> Mapping[str, Any] | None:
        """The hardware and system that a node's packages were chosen for."""
        return next((group["host"] for group in self.hosts if node in group["nodes"]), None)


def write_about(about: About) -> str:
    """bundle.json as text."""
    return json.dumps({"format": FORMAT, **asdict(about)}, indent=1, sort_keys=True) + "\n"


def read_about(text: str, where: str) -> About:
    """Read bundle.json. Raises RejectedError where it is none, or one of another format."""
    try:
        data = json.loads(text)
        version = data["format"]
        if version != FORMAT:
            raise RejectedError(f"{where}: found bundle format {version}, this nimctl reads {FORMAT}")
        del data["format"]
        platforms = tuple(Platform(**each) for each in data.pop("platforms"))
        images = tuple(Image(e["reference"], e["digest"], tuple(e["blobs"])) for e in data.pop("images"))
        hosts = tuple(data.pop("hosts"))
        about = About(platforms=platforms, images=images, hosts=hosts, **data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RejectedError(f"{where}: is not what nimctl bundle writes ({error!r})") from error
    if not all(is_digest(digest) for image in images for digest in (image.digest, *image.blobs)):
        raise RejectedError(f"{where}: an image has something else than a digest")
    return about


def blob(digest: str) -> str:
    """Where a blob lies in a bundle."""
    return f"{BLOBS}/{digest.removeprefix('sha256:')}"


def write_sums(sums: Mapping[str, str]) -> str:
    """SHA256SUMS as text: checksums by path."""
    return "".join(f"{checksum}  {path}\n" for path, checksum in sorted(sums.items()))


def read_sums(text: str, where: str) -> dict[str, str]:
    """Checksums by path. Raises RejectedError for a line that is none, or a path that leaves the bundle."""
    sums = {}
    for number, line in enumerate(text.splitlines(), 1):
        found = _LINE.fullmatch(line)
        if found is None or not is_inside(found[2]):
            raise RejectedError(f"{where}:{number}: expected a checksum and a path below the bundle")
        sums[found[2]] = found[1]
    return sums


def is_inside(path: str) -> bool:
    """Whether a path of a bundle stays in it."""
    return not path.startswith("/") and not {"", ".", ".."} & set(path.split("/"))


def needed(about: About, platform: str, images: Sequence[str], paths: Sequence[str]) -> list[str]:
    """The files that a node of a platform needs for some images, given by reference."""
    blobs = {
        blob(digest)
        for image in about.images
        if image.reference in images
        for digest in (image.digest, *image.blobs)
    }
    folder = f"{PACKAGES}/{platform}/"
    return [path for path in paths if path.startswith(folder) or path in blobs]
