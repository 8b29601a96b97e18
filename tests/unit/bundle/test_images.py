"""Images come by digest, go on where they broke off, and are compared byte by byte."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import httpx
import pytest

from nimctl.bundle.images import Layout, Piece, Pull
from nimctl.registry import Access, RegistryError

LAYER = b"layer" * 1000
CONFIG = b"{}"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def piece(content: bytes) -> dict[str, object]:
    return {"digest": digest(content), "size": len(content)}


MANIFEST = json.dumps({"schemaVersion": 2, "config": piece(CONFIG), "layers": [piece(LAYER)]}).encode()
INDEX = json.dumps(
    {
        "manifests": [
            {**piece(MANIFEST), "platform": {"os": "linux", "architecture": "amd64"}},
            {**piece(b"arm"), "platform": {"os": "linux", "architecture": "arm64"}},
            {**piece(b"seal"), "platform": {"os": "unknown", "architecture": "unknown"}},
        ]
    }
).encode()


class Registry:
    """A registry that wants a login and breaks off when it is told to."""

    def __init__(self) -> None:
        self.content = {digest(each): each for each in (CONFIG, LAYER, MANIFEST, INDEX)}
        self.break_after: int | None = None
        self.ranges: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if "Authorization" not in request.headers:
            return httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
        content = self.content.get(request.url.path.rpartition("/")[2])
        if content is None:
            return httpx.Response(404)
        self.ranges.append(request.headers.get("Range", ""))
        start = int(request.headers.get("Range", "bytes=0-")[6:-1])
        if self.break_after is not None and "blobs" in request.url.path:
            end, self.break_after = self.break_after, None
            return httpx.Response(200, stream=Stream(content[:end], broken=True))
        return httpx.Response(206 if start else 200, stream=Stream(content[start:]))


class Stream(httpx.SyncByteStream):
    def __init__(self, content: bytes, broken: bool = False) -> None:
        self._content = content
        self._broken = broken

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield self._content
        if self._broken:
            raise httpx.ReadError("the connection was lost")


@pytest.fixture
def registry() -> Registry:
    return Registry()


def pull(registry: Registry, which: bytes) -> Pull:
    how = Access("example.org", username="u", password=lambda: "p")
    return Pull("example.org/a/b:1", digest(which), how, httpx.MockTransport(registry))


def fetch(pulled: Pull, layout: Layout) -> list[int]:
    told: list[int] = []
    for each in pulled.manifests(layout, ["x86_64"]):
        pulled.blob(each, layout, told.append)
    return told


@pytest.mark.parametrize("which", [MANIFEST, INDEX], ids=["one", "index"])
def test_all_of_an_image_and_no_other_architecture(registry: Registry, tmp_path: Path, which: bytes) -> None:
    layout = Layout(tmp_path)
    pulled = pull(registry, which)
    told = fetch(pulled, layout)
    image = pulled.describe(layout, ["x86_64"])
    for each in (image.digest, *image.blobs):
        assert digest(layout.path(each).read_bytes()) == each
    assert {digest(CONFIG), digest(LAYER)} <= set(image.blobs)
    assert digest(b"arm") not in image.blobs
    assert sum(told) == len(CONFIG) + len(LAYER)
    layout.finish([image])
    assert json.loads((tmp_path / "index.json").read_text())["manifests"][0]["digest"] == digest(which)


def test_a_lost_connection_is_gone_on_with(registry: Registry, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    pulled = pull(registry, MANIFEST)
    pulled.manifests(layout, ["x86_64"])
    registry.break_after = 1234
    told: list[int] = []
    pulled.blob(Piece(digest(LAYER), len(LAYER)), layout, told.append)
    assert layout.path(digest(LAYER)).read_bytes() == LAYER
    assert registry.ranges[-1] == "bytes=1234-"
    assert sum(told) == len(LAYER)


def test_another_run_goes_on_where_the_first_was_killed(registry: Registry, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.put(CONFIG)
    part = layout.path(digest(LAYER)).with_name(f"{layout.path(digest(LAYER)).name}.part")
    part.write_bytes(LAYER[:77])
    fetch(pull(registry, MANIFEST), layout)
    assert layout.path(digest(LAYER)).read_bytes() == LAYER
    assert registry.ranges[-1] == "bytes=77-"
    assert not part.exists()


def test_a_layer_that_is_not_what_its_digest_says_is_thrown_away(registry: Registry, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    registry.content[digest(LAYER)] = b"something else"
    with pytest.raises(RegistryError, match="for the blob"):
        fetch(pull(registry, MANIFEST), layout)
    assert not layout.path(digest(LAYER)).exists()


def test_a_manifest_that_is_not_what_its_digest_says_is_refused(registry: Registry, tmp_path: Path) -> None:
    registry.content[digest(MANIFEST)] = b"{}"
    with pytest.raises(RegistryError, match="instead of"):
        fetch(pull(registry, MANIFEST), Layout(tmp_path))


def test_an_image_without_the_architecture_of_the_nodes_is_refused(
    registry: Registry, tmp_path: Path
) -> None:
    registry.content[digest(INDEX)] = INDEX.replace(b"amd64", b"s390x")
    changed = pull(registry, registry.content[digest(INDEX)])
    registry.content[changed.digest] = registry.content.pop(digest(INDEX))
    with pytest.raises(RegistryError, match="no image for linux/amd64"):
        changed.manifests(Layout(tmp_path), ["x86_64"])


def test_an_image_that_is_not_there_says_where_it_was_looked_for(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"https://example\.org: has no a/b"):
        pull(registry, b"none").manifests(Layout(tmp_path), ["x86_64"])
