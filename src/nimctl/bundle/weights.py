"""Which weights a description needs: where they come from, in which revision, with which checksums."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nimctl.bundle.layout import WEIGHT_FILES, WEIGHTS
from nimctl.bundle.store import Tell, checksum
from nimctl.cluster import Cluster
from nimctl.description.document import Deployment
from nimctl.errors import RejectedError

Begin = Callable[[str, int], Tell]
"""Begins a piece of work with a title and a size in bytes; gives what is told of its progress."""


def manifest(cluster: Cluster, begin: Begin) -> list[dict[str, Any]]:
    """One entry for each deployment that names weights; files have checksums where they lie in a folder here.

    Raises RejectedError where such a folder is missing.
    """
    return [_entry(cluster, deployment, begin) for deployment in cluster.deployments if deployment.weights]


def _entry(cluster: Cluster, deployment: Deployment, begin: Begin) -> dict[str, Any]:
    weights = deployment.weights
    assert weights is not None
    entry: dict[str, Any] = {
        "deployment": deployment.name,
        "model": deployment.model,
        "source": weights.source,
        "repository": weights.repository or deployment.model,
        "revision": weights.revision,
        "path": str(weights.path) if weights.path else None,
        "files": None,
    }
    if weights.source == "folder":
        folder = _folder(cluster, entry["repository"], deployment.name)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        tell = begin(f"weights of {deployment.name}", sum(path.stat().st_size for path in files))
        entry["files"] = [_file(folder, path, tell) for path in files]
    return entry


def _folder(cluster: Cluster, repository: str, deployment: str) -> Path:
    beside = cluster.file.parent if cluster.file else Path.cwd()
    folder = beside / Path(repository).expanduser()
    if not folder.is_dir():
        raise RejectedError(
            f"deployment {deployment}: weights.source is folder, and {folder} is no folder on this machine"
        )
    return folder


def _file(folder: Path, path: Path, tell: Tell) -> dict[str, Any]:
    with path.open("rb") as stream:
        return {
            "path": str(path.relative_to(folder)),
            "size": path.stat().st_size,
            "sha256": checksum(stream, tell),
        }


def write(cluster: Cluster, folder: Path, begin: Begin, *, with_files: bool) -> None:
    """Write the manifest into a bundle, and the files of local folders where they are asked for."""
    entries = manifest(cluster, begin)
    file = folder / WEIGHTS
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"weights": entries}, indent=1) + "\n", encoding="utf-8")
    wanted = set()
    for entry in entries if with_files else ():
        source = _folder(cluster, entry["repository"], entry["deployment"]) if entry["files"] else None
        for each in entry["files"] or ():
            assert source is not None
            target = folder / WEIGHT_FILES / entry["deployment"] / each["path"]
            wanted.add(target)
            if not target.exists() or target.stat().st_size != each["size"]:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / each["path"], target)
    for old in (folder / WEIGHT_FILES).rglob("*"):
        if old.is_file() and old not in wanted:
            old.unlink()
