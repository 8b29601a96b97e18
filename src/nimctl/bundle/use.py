"""Take a bundle into use: check it against a description, and say what each node needs of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nimctl.bundle.check import known_hosts, require
from nimctl.bundle.layout import BLOBS, needed
from nimctl.bundle.questions import Inventory
from nimctl.bundle.store import Store, Tell, open_bundle, verify
from nimctl.errors import RejectedError
from nimctl.image import parse
from nimctl.inventory import read
from nimctl.lock import Lock, read_lock
from nimctl.stack import versions

Files = dict[str, tuple[str, int]]
"""Checksums and sizes by path."""


def accept(path: Path, folder: Path, loader: Any = None) -> Store:
    """Open a bundle that has all that the description in a folder needs.

    Its files are not read; see ``nimctl.bundle.store.verify``. Raises RejectedError with all that it lacks.
    """
    store = open_bundle(path)
    placement = read(folder)
    inventory = Inventory(folder, loader)
    kinds = inventory.kinds(known_hosts(store, inventory.nodes()))
    require(store, placement, read_lock(folder) or Lock(), kinds, versions.load(folder))
    return store


def accept_and_verify(path: Path, folder: Path, loader: Any = None, tell: Tell | None = None) -> Store:
    """The same, with every file compared with its checksum. Raises RejectedError."""
    store = accept(path, folder, loader)
    verify(store, tell or (lambda count: None))
    return store


def platforms(store: Store, folder: Path | None = None) -> list[dict[str, Any]]:
    """The platforms of a bundle, with what tells a node which one it is."""
    tables = versions.load(folder)
    return [
        {
            "name": platform.name,
            "architecture": platform.architecture,
            "ids": list(tables.distributions[platform.distribution].ids),
            "version": str(tables.distributions[platform.distribution].version),
        }
        for platform in store.about.platforms
    ]


def package_files(store: Store, platform: str) -> Files:
    """The files of a platform's packages."""
    return _files(store, needed(store.about, platform, (), list(store.sums)))


def image_files(store: Store, images: Iterable[str]) -> dict[str, Files]:
    """For each image, as ranks name it, the files that it is made of. Images that it lacks have none."""
    known = {f"{parse(image.reference).name}@{image.digest}": image.reference for image in store.about.images}
    paths = [path for path in store.sums if path.startswith(f"{BLOBS}/")]
    found: dict[str, Files] = {}
    for name in images:
        image = parse(name)
        reference = known.get(f"{image.name}@{image.digest}")
        wanted = needed(store.about, "", [reference], paths) if reference else []
        found[name] = _files(store, wanted)
    return found


def _files(store: Store, paths: Sequence[str]) -> Files:
    return {path: (store.sums[path], store.size(path)) for path in paths}


def offered(store: Store, probed: Mapping[str, Any], names: Iterable[str]) -> dict[str, list[str]]:
    """The versions of packages that a bundle has for a host, as the probe has it.

    Raises RejectedError where it was not made for such a host.
    """
    system = probed.get("system") or {}
    row = versions.load().distribution(system.get("distribution", ""), str(system.get("version", "")))
    name = f"{row.name}-{system.get('architecture', '')}"
    platform = next((each for each in store.about.platforms if each.name == name), None)
    if platform is None:
        known = ", ".join(each.name for each in store.about.platforms)
        raise RejectedError(f"the bundle has packages for {known}, and this node is {name}")
    return {each: list(platform.packages.get(each, ())) for each in names}
