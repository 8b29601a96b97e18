"""Bring packages to wanted versions as a whole, or leave them as they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ansible_collections.nimctl.multinode.plugins.module_utils.packages.apt import Apt
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import (
    Change,
    PackageError,
    Remember,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.dnf import Dnf


def difference(
    installed: Mapping[str, str], names: Sequence[str], versions: Mapping[str, str], replaces: Sequence[str]
) -> Change:
    """What has to change: what is missing, what has another version, and what is to be replaced."""
    wanted = {**dict.fromkeys(names, ""), **versions}
    return Change(
        install={
            name: version
            for name, version in wanted.items()
            if name not in installed or (version and installed[name] != version)
        },
        remove=tuple(name for name in replaces if name in installed and name not in wanted),
    )


def check_offered(manager: Apt | Dnf, versions: Mapping[str, str], refresh: Callable[[], None]) -> None:
    """Make sure that exact versions can be had; lists are fetched only where those of the node do not do.

    Raises PackageError that names each version that is missing, and what there is.
    """
    for attempt in (refresh, None):
        offered = manager.offered(list(versions)) if versions else {}
        missing = {
            name: version for name, version in versions.items() if version not in offered.get(name, [])
        }
        if not missing:
            return
        if attempt:
            attempt()
    said = [
        f"{name} {version} (offered: {', '.join(offered.get(name, [])[:8]) or 'none'})"
        for name, version in sorted(missing.items())
    ]
    raise PackageError(f"No repository of this node offers {'; '.join(said)}. No package was touched.")


def switch(manager: Apt | Dnf, change: Change, options: Sequence[str], remember: Remember) -> None:
    """Make the change, or bring back what was there. Raises PackageError."""
    before = manager.installed(change.names())
    remember(manager.simulate(change, options))
    try:
        manager.apply(change, options)
    except PackageError as error:
        raise PackageError(f"{error}\n{_back(manager, change, before)}") from error


def _back(manager: Apt | Dnf, change: Change, before: Mapping[str, str]) -> str:
    """Bring back the versions from before, and say whether that worked."""
    if not before:
        return "Nothing of it was installed before; what is left half done is finished by the next run."
    former = Change(install=dict(before), remove=tuple(name for name in change.install if name not in before))
    versions = ", ".join(f"{name} {version}" for name, version in sorted(before.items()))
    try:
        manager.apply(former)
    except PackageError as error:
        return f"The former packages could not be brought back ({versions}):\n{error}"
    return f"The former packages were brought back: {versions}."
