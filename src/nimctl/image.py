"""Image references: ``host[:port]/name[:tag][@sha256:...]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ImageReference:
    """One reference with its registry written out (``docker.io`` when none was)."""

    registry: str
    repository: str
    tag: str | None
    digest: str | None

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"

    def pinned(self, digest: str) -> str:
        """The reference by which a node pulls exactly this digest; the tag means nothing beside it."""
        return f"{self.name}@{digest}"


def is_digest(text: str) -> bool:
    """Whether a text is a complete sha256 digest."""
    return _DIGEST.fullmatch(text) is not None


def parse(reference: str) -> ImageReference:
    """Split a reference; without tag and digest the tag is ``latest``, as container engines take it."""
    rest, _, digest = reference.partition("@")
    head, slash, tail = rest.partition("/")
    if slash and ("." in head or ":" in head or head.startswith("[") or head == "localhost"):
        registry, path = head, tail
    else:
        registry, path = "docker.io", rest
    name, colon, tag = path.rpartition(":")
    if not colon or "/" in tag:
        name, tag = path, ""
    if registry == "docker.io" and "/" not in name:
        name = f"library/{name}"
    return ImageReference(registry, name, tag or (None if digest else "latest"), digest or None)
