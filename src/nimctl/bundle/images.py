"""Fetch images by digest from registries into an OCI image layout, every byte compared with its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from nimctl.bundle.layout import Image
from nimctl.bundle.store import Tell, checksum
from nimctl.image import ImageReference, is_digest, parse
from nimctl.registry import (
    ACCEPT,
    MAX_MANIFEST,
    Access,
    AnswerError,
    RegistryError,
    authorization,
    bases,
    meaning,
    open_client,
    reason,
)

ATTEMPTS = 5
Answer = TypeVar("Answer")
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Piece:
    """One blob that an image is made of: its digest and size in bytes."""

    digest: str
    size: int


class Layout:
    """An OCI image layout in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.blobs = folder / "blobs" / "sha256"

    def path(self, digest: str) -> Path:
        """Where a blob lies."""
        return self.blobs / digest.removeprefix("sha256:")

    def _kind(self, digest: str) -> str:
        document = json.loads(self.path(digest).read_bytes())
        plain = _INDEXES[0] if "manifests" in document else "application/vnd.oci.image.manifest.v1+json"
        return str(document.get("mediaType") or plain)

    def put(self, content: bytes) -> None:
        """Add a small blob."""
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.path(f"sha256:{hashlib.sha256(content).hexdigest()}").write_bytes(content)

    def finish(self, images: Sequence[Image]) -> None:
        """Write what makes the folder a layout, with the images in it."""
        manifests = [
            {
                "mediaType": self._kind(image.digest),
                "digest": image.digest,
                "size": self.path(image.digest).stat().st_size,
                "annotations": {"org.opencontainers.image.ref.name": image.reference},
            }
            for image in images
        ]
        index = {"schemaVersion": 2, "mediaType": _INDEXES[0], "manifests": manifests}
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}\n', encoding="utf-8")
        (self.folder / "index.json").write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


class Pull:
    """One image, fetched from wherever its registry is reached."""

    def __init__(
        self, image: str, digest: str, how: Access, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.image = image
        self.digest = digest
        self._reference: ImageReference = parse(image)
        self._how = how
        self._transport = transport

    def manifests(self, layout: Layout, architectures: Sequence[str]) -> list[Piece]:
        """Put the image's manifests into the layout; returns the blobs that are still to be fetched.

        ``architectures`` are those of the nodes, as uname -m says it. Raises RegistryError.
        """
        top = self._manifest(self.digest)
        layout.put(top)
        document = _document(top, self.image)
        found = []
        if document.get("mediaType") in _INDEXES or "manifests" in document:
            for entry in self._fitting(document, architectures):
                inner = self._manifest(entry["digest"])
                layout.put(inner)
                found += _pieces(_document(inner, self.image))
        else:
            found = _pieces(document)
        return list({piece.digest: piece for piece in found}.values())

    def describe(self, layout: Layout, architectures: Sequence[str]) -> Image:
        """The image with all blobs of it that are in the layout."""
        document = _document(layout.path(self.digest).read_bytes(), self.image)
        blobs = []
        if "manifests" in document:
            for entry in self._fitting(document, architectures):
                inner = _document(layout.path(entry["digest"]).read_bytes(), self.image)
                blobs += [entry["digest"], *(piece.digest for piece in _pieces(inner))]
        else:
            blobs = [piece.digest for piece in _pieces(document)]
        return Image(self.image, self.digest, tuple(dict.fromkeys(blobs)))

    def _fitting(self, index: dict[str, Any], architectures: Sequence[str]) -> list[dict[str, Any]]:
        wanted = {_ARCHITECTURES.get(each, each) for each in architectures}
        platforms = {id(entry): entry.get("platform") or {} for entry in index["manifests"]}
        found = [
            entry
            for entry in index["manifests"]
            if platforms[id(entry)].get("os") == "linux"
            and platforms[id(entry)].get("architecture") in wanted
        ]
        missing = wanted - {platforms[id(entry)]["architecture"] for entry in found}
        if missing:
            raise RegistryError(
                f"{self.image}: {self.digest} has no image for linux/{', linux/'.join(sorted(missing))}"
            )
        return found

    def _manifest(self, digest: str) -> bytes:
        def ask(client: httpx.Client, base: str, headers: dict[str, str]) -> bytes:
            url = f"{base}/v2/{self._reference.repository}/manifests/{digest}"
            with client.stream("GET", url, headers={**headers, "Accept": ACCEPT}) as answer:
                self._accept(answer)
                content = b"".join(_limited(answer))
            found = f"sha256:{hashlib.sha256(content).hexdigest()}"
            if found != digest:
                raise AnswerError(f"sent a manifest with the digest {found} instead of {digest}")
            return content

        return self._anywhere(ask)

    def blob(self, piece: Piece, layout: Layout, tell: Tell) -> None:
        """Fetch a blob; what an interrupted run has left is gone on with. Raises RegistryError."""
        file = layout.path(piece.digest)
        if file.exists() and file.stat().st_size == piece.size:
            tell(piece.size)
            return
        part = file.with_name(f"{file.name}.part")
        tell(part.stat().st_size if part.exists() else 0)
        layout.blobs.mkdir(parents=True, exist_ok=True)

        def ask(client: httpx.Client, base: str, headers: dict[str, str]) -> None:
            url = f"{base}/v2/{self._reference.repository}/blobs/{piece.digest}"
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    self._stream(client, url, headers, part, tell)
                    return
                except httpx.TransportError:
                    if attempt == ATTEMPTS:
                        raise

        self._anywhere(ask)
        with part.open("rb") as stream:
            found = checksum(stream)
        if f"sha256:{found}" != piece.digest:
            part.unlink()
            raise RegistryError(
                f"{self.image}: the registry sent sha256:{found} for the blob {piece.digest}. What came was "
                "thrown away; run the same command again"
            )
        part.replace(file)

    def _stream(
        self, client: httpx.Client, url: str, headers: dict[str, str], part: Path, tell: Tell
    ) -> None:
        have = part.stat().st_size if part.exists() else 0
        # As it is stored: its digest is that of the bytes that come.
        more = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
        with client.stream("GET", url, headers={**headers, **more}) as answer:
            if have and answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                return
            self._accept(answer)
            again = have and answer.status_code != httpx.codes.PARTIAL_CONTENT
            if again:
                tell(-have)
            with part.open("wb" if again else "ab") as stream:
                for chunk in answer.iter_raw():
                    stream.write(chunk)
                    tell(len(chunk))

    def _accept(self, answer: httpx.Response) -> None:
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise _LoginError(answer)
        if not answer.is_success:
            raise AnswerError(meaning(answer.status_code, self._reference, self._how))

    def _anywhere(self, ask: Callable[[httpx.Client, str, dict[str, str]], Answer]) -> Answer:
        failures = []
        for base, way in bases(self._how):
            try:
                with open_client(way, self._transport) as client:
                    try:
                        return ask(client, base, {})
                    except _LoginError as wants:
                        login = authorization(client, wants.answer, self._reference, way)
                        return ask(client, base, {"Authorization": login})
            except httpx.HTTPError as error:
                failures.append(f"{base}: {reason(error, self._how)}")
            except _LoginError as error:
                failures.append(f"{base}: {meaning(error.answer.status_code, self._reference, self._how)}")
            except AnswerError as error:
                failures.append(f"{base}: {error}")
        raise RegistryError(f"{self.image}: it could not be fetched.\n  " + "\n  ".join(failures))


class _LoginError(Exception):
    """The registry wants a login."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        super().__init__()


def _limited(answer: httpx.Response) -> Iterator[bytes]:
    size = 0
    for chunk in answer.iter_bytes():
        size += len(chunk)
        if size > MAX_MANIFEST:
            raise AnswerError("sent a manifest of more than 8 MiB")
        yield chunk


def _document(content: bytes, image: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
        assert isinstance(document, dict)
    except (ValueError, AssertionError) as error:
        raise RegistryError(f"{image}: its manifest cannot be read") from error
    return document


def _pieces(manifest: dict[str, Any]) -> list[Piece]:
    found = [manifest["config"], *manifest["layers"]]
    # Layers that their publisher does not let registries hold are fetched by engines from elsewhere.
    return [Piece(each["digest"], each["size"]) for each in found if is_digest(each["digest"])]
