"""Small bundles, made without network."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from nimctl.bundle.layout import ABOUT, SUMS, About, Image, Platform, blob, write_about, write_sums

MANIFEST = b'{"config": {}, "layers": []}'
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
REFERENCE = "registry.example.org/rehearsal:1"
HOST = {"system": {"distribution": "debian", "version": "13", "architecture": "x86_64"}}


def about(**changes: object) -> About:
    given: dict[str, object] = {
        "cluster": "test",
        "made": "2026-11-24T00:00:00+00:00",
        "nimctl": "0.1.0",
        "description": {},
        "platforms": (Platform("debian-13", "x86_64", "apt", {"podman": ["5.4.2-1"]}),),
        "nodes": {"gpu01": "debian-13-x86_64"},
        "hosts": ({"nodes": ["gpu01"], "host": HOST},),
        "images": (Image(REFERENCE, DIGEST, ()),),
    }
    return About(**{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Path]:
    """``make(**changes)`` writes a bundle into a folder; changes are fields of bundle.json."""

    def _make(**changes: object) -> Path:
        folder = tmp_path / "bundle"
        files = {
            ABOUT: write_about(about(**changes)).encode(),
            "packages/debian-13-x86_64/podman.deb": b"a package",
            "weights/manifest.json": b'{"weights": []}\n',
            blob(DIGEST): MANIFEST,
        }
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        sums = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
        (folder / SUMS).write_text(write_sums(sums))
        return folder

    return _make


@pytest.fixture(params=["folder", "tar"])
def bundle(request: pytest.FixtureRequest, make: Callable[..., Path], tmp_path: Path) -> Path:
    """The same bundle as a folder and as a tar."""
    return make() if request.param == "folder" else pack(make(), tmp_path / "bundle.tar")


def pack(folder: Path, file: Path) -> Path:
    with tarfile.open(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, str(path.relative_to(folder)), recursive=False)
    return file
