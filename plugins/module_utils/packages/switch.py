"""Bring packages to wanted versions as a whole, or leave them as they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ansible_collections.nimctl.multinode.plugins.module_utils import dkms
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.apt import Apt
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import (
    Change,
    PackageError,
    Remember,
    UnaskedError,
    upstream,
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


def strays(
    manager: Apt | Dnf, versions: Mapping[str, str], family: Sequence[str], named: Sequence[str]
) -> list[str]:
    """Installed packages of a family that have another release than these versions, and are not named."""
    releases = {upstream(version) for version in versions.values()}
    return [
        name
        for name, version in manager.installed(family).items()
        if name not in versions and name not in named and upstream(version) not in releases
    ]


def taking_along(
    manager: Apt | Dnf, change: Change, versions: Mapping[str, str], others: Sequence[str]
) -> Change:
    """The change with others going along to the release of these versions, or going where it lacks them."""
    if not others:
        return change
    releases = {upstream(version) for version in versions.values()}
    offered = manager.offered(others)
    found = {
        name: next((each for each in offered.get(name, []) if upstream(each) in releases), "")
        for name in others
    }
    return Change(
        install={**change.install, **{name: version for name, version in found.items() if version}},
        remove=(*change.remove, *(name for name in others if not found[name])),
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


def simulated(manager: Apt | Dnf, change: Change, options: Sequence[str], family: Sequence[str]) -> list[str]:
    """What a change brings anew; all package lists are fetched where those of the node do not do."""
    try:
        return manager.simulate(change, options, family)
    except UnaskedError:
        raise
    except PackageError:
        manager.update()
        return manager.simulate(change, options, family)


def switch(
    manager: Apt | Dnf,
    change: Change,
    options: Sequence[str],
    remember: Remember,
    family: Sequence[str] = (),
) -> None:
    """Make the change, or bring back what was there. Raises PackageError."""
    before = manager.installed(change.names())
    held = manager.held(list(before))
    broken = dkms.broken()
    remember(simulated(manager, change, options, family))
    try:
        manager.apply(change, options)
    except PackageError as error:
        said = _back(manager, change, before, held)
        # A script of a package that could not ask DKMS takes the source away and leaves the rest.
        if left := dkms.clear(dkms.broken() - broken):
            said += f" What DKMS had left of {', '.join(left)} was removed."
        raise PackageError(f"{error}\n{said}") from error


def _back(manager: Apt | Dnf, change: Change, before: Mapping[str, str], held: Sequence[str]) -> str:
    """Bring back the versions from before with their holds, and say whether that worked."""
    if not before:
        return "Nothing of it was installed before; what is left half done is finished by the next run."
    former = Change(install=dict(before), remove=tuple(name for name in change.install if name not in before))
    versions = ", ".join(f"{name} {version}" for name, version in sorted(before.items()))
    try:
        manager.apply(former)
        manager.hold(held)
    except PackageError as error:
        return f"The former packages could not be brought back ({versions}):\n{error}"
    return f"The former packages were brought back: {versions}."
