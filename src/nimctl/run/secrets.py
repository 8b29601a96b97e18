"""Which secrets a run needs, whether they can be read, and their values for the redactor."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from nimctl.cluster import Cluster
from nimctl.description.document import SecretSource
from nimctl.errors import RejectedError
from nimctl.placement import Placement, Rank

NGC = "ngc_api_key"
NGC_REGISTRY = "nvcr.io"


def needed(placement: Placement, nodes: Iterable[str] | None = None, *, pulls: bool = True) -> dict[str, str]:
    """The secrets that a run reads, each with what it is for.

    A secret that is described but that no rank of these nodes uses, to be pulled or to run, is not
    needed. ``nodes`` restricts the question to ranks of these nodes (default: all); without ``pulls``
    registries are not asked.
    """
    wanted = None if nodes is None else set(nodes)
    ranks = [rank for rank in placement.ranks if wanted is None or rank.node in wanted]
    logins = {
        registry.host: registry.password
        for registry in placement.cluster.stack.container_engine.registries
        if registry.password
    }
    if NGC in placement.cluster.secrets:
        logins.setdefault(NGC_REGISTRY, NGC)
    reasons: dict[str, str] = {}
    for rank in ranks:
        secret = logins.get(_registry(rank))
        if secret and pulls:
            reasons.setdefault(secret, f"to pull {_repository(rank)}")
        for variable in rank.secrets:
            reasons.setdefault(variable.lower(), f"by the ranks of {rank.deployment}, as {variable}")
    return reasons


def check(placement: Placement, nodes: Iterable[str] | None = None, *, pulls: bool = True) -> None:
    """Make sure that every secret which a run needs can be read on this controller.

    Values from Ansible Vault are left to Ansible.

    Raises:
        RejectedError: one or more cannot; says which, what for and what to do.
    """
    missing = []
    for name, reason in needed(placement, nodes, pulls=pulls).items():
        source = placement.cluster.secrets.get(name)
        where = f"The secret {name} is needed {reason}"
        if source is None:
            missing.append(
                f"{where}, but the description has no secrets.{name}; add to cluster.yml: "
                f"secrets: {{{name}: {{env: {name.upper()}}}}}"
            )
        elif source.env and not _value(placement.cluster, source):
            missing.append(
                f"{where}, and the description reads it from the environment variable {source.env}, which is "
                f"not set; run: export {source.env}=... (or name a file: secrets.{name}.file)"
            )
        elif source.file:
            path = _path(placement.cluster, source.file)
            if _readable_by_all(path):
                missing.append(
                    f"{where}, and everybody on this machine can read {path}; run: chmod 600 {path}"
                )
            elif _file(path) is None:
                missing.append(
                    f"{where}, and the description reads it from {path}, which is missing, empty or not "
                    "readable; write the value into that file and run chmod 600 on it"
                )
    if missing:
        raise RejectedError("\n".join(missing))


def values(cluster: Cluster) -> list[str]:
    """The values of all secrets that this controller can read; they are used for nothing but masking."""
    found = (_value(cluster, source) for source in cluster.secrets.values())
    return [value for value in found if value]


def _value(cluster: Cluster, source: SecretSource) -> str | None:
    if source.env:
        return os.environ.get(source.env, "").strip() or None
    return _file(_path(cluster, source.file)) if source.file else None


def _path(cluster: Cluster, path: str) -> Path:
    folder = cluster.file.parent if cluster.file else Path.cwd()
    return folder / Path(path).expanduser()


def _file(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _readable_by_all(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except OSError:
        return False


def _registry(rank: Rank) -> str:
    first, slash, _ = rank.image.partition("/")
    return first if slash and (":" in first or "." in first or first == "localhost") else "docker.io"


def _repository(rank: Rank) -> str:
    return rank.image.partition("@")[0]
