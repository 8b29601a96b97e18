"""Packages of a publisher at exact versions: which revision, and from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nimctl.stack.host import Host
from nimctl.stack.numbers import upstream
from nimctl.stack.plan import Question, RefusedError, Repository
from nimctl.stack.repositories import repository


def published(question: Question, publisher: str) -> Repository:
    """The repository of a publisher, or its mirror, for the host that is asked about. Raises RefusedError."""
    system = question.host.system
    tables = question.versions
    distribution = tables.distribution(system.distribution, system.version)
    mirrors: Mapping[str, Any] = question.context.get("mirrors") or {}
    return repository(tables, publisher, distribution, system.architecture, mirrors)


def locked(question: Question, layer: str) -> str | None:
    """The version of a layer that the lock holds, None where it holds none."""
    locks: Mapping[str, Any] = question.context.get("locked") or {}
    version = (locks.get(layer) or {}).get("version")
    return str(version) if version else None


def is_there(host: Host, name: str, version: str) -> bool:
    """Whether a package is installed in a version, given with or without its revision."""
    found = host.packages.get(name)
    return found is not None and version in (found.version, upstream(found.version))


def exact_versions(
    question: Question, source: Repository, names: Sequence[str], version: str, field: str
) -> dict[str, str]:
    """The version of each package as the package manager writes it, all of one upstream version.

    The repository is asked only where a package is not there yet. ``field`` is what a person would change.
    Raises RefusedError with what the repository offers, and AskError.
    """
    host = question.host
    if all(is_there(host, name, version) for name in names):
        return {name: host.packages[name].version for name in names}
    offers = question.offers.versions(source, names)
    found = {}
    for name in names:
        fitting = [each for each in offers[name] if version in (each, upstream(each))]
        if not fitting:
            raise RefusedError(not_offered(source, name, version, offers[name], field))
        found[name] = fitting[0]
    return found


def not_offered(source: Repository, name: str, version: str, offers: Sequence[str], field: str) -> str:
    """That a repository does not have a version, what it has, and what to do."""
    has = ", ".join(offers[:8]) or "no version of it"
    return (
        f"{source.url} does not offer {name} {version}; it offers {has}. Nothing was changed. Set {field} to "
        "a version that it offers, or bring the mirror up to date."
    )


def package_changes(host: Host, versions: Mapping[str, str], hold: Sequence[str] = ()) -> list[str]:
    """In sentences, what installing these and holding some of them would change."""
    changes = []
    for name, version in versions.items():
        found = host.packages.get(name)
        if found is None:
            changes.append(f"install {name} {version}")
        elif found.version != version:
            changes.append(f"change {name} from {found.version} to {version}")
        elif name in hold and not found.held:
            changes.append(f"hold {name} at {version}")
    return changes
