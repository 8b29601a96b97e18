"""Keep packages at their versions: written down, and then asked for, because a hold can fail silently."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ansible_collections.nimctl.multinode.plugins.module_utils.packages.apt import Apt
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import (
    PackageError,
    belongs,
    upstream,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.dnf import Dnf

PREFERENCES = Path("/etc/apt/preferences.d")
HEADER = (
    "# Written by nimctl, which keeps these packages at these versions. To lift it: set another version.\n"
)


def path(owner: str) -> Path:
    """The preferences of one owner."""
    return PREFERENCES / f"nimctl-{owner}.pref"


def preferences(versions: Mapping[str, str], family: Sequence[str]) -> str:
    """apt preferences: these packages at these versions, and no other release of those of the family.

    1001 wins over everything, also over a newer version that is installed. Of several stanzas that match a
    version, the first one counts; so a member of the family may still come as a part of the same release.
    """
    stanzas = [(name, f"version {version}", 1001) for name, version in sorted(versions.items())]
    families = " ".join(family)
    if families:
        # apt knows patterns for the end of a version only.
        for release in sorted({version.rsplit("-", 1)[0] for version in versions.values()}):
            stanzas.append((families, f"version {release}*", 1000))
        stanzas.append((families, "release *", -1))
    return HEADER + "".join(
        f"\nPackage: {names}\nPin: {pin}\nPin-Priority: {priority}\n" for names, pin, priority in stanzas
    )


def members(apt: Apt, owner: str, family: Sequence[str]) -> list[str]:
    """Names of packages that fit the patterns of a family: what apt knows, and what was written down before.

    Names, because apt tries a pattern on every package that there is, at each of its calls.
    """
    if not family:
        return []
    known = set(apt.run("apt-cache", "pkgnames").split())
    text = path(owner).read_text(encoding="utf-8") if path(owner).exists() else ""
    known |= {name for line in re.findall(r"^Package: (.*)$", text, re.MULTILINE) for name in line.split()}
    return sorted(name for name in known if belongs(name, family))


def give_way(owner: str, names: Sequence[str], check: bool) -> None:
    """Take packages that have moved out of the preferences of our other owners, who write them anew."""
    for other in sorted(PREFERENCES.glob("nimctl-*.pref")) if not check else ():
        text = other.read_text(encoding="utf-8")
        stanzas = text.split("\n\n")
        left = [stanza for stanza in stanzas if stanza.partition("\n")[0] not in _titles(names)]
        if other != path(owner) and left != stanzas:
            other.write_text("\n\n".join(left).rstrip("\n") + "\n", encoding="utf-8")


def _titles(names: Sequence[str]) -> set[str]:
    return {f"Package: {name}" for name in names}


@contextmanager
def as_if(owner: str, text: str) -> Iterator[list[str]]:
    """Options by which apt acts as if an owner's preferences were these, all others being as they are."""
    with TemporaryDirectory(prefix="nimctl-") as folder:
        Path(folder).chmod(0o755)
        own = path(owner)
        for other in PREFERENCES.iterdir() if PREFERENCES.is_dir() else ():
            if other.name != own.name:
                Path(folder, other.name).symlink_to(other)
        if text:
            Path(folder, own.name).write_text(text, encoding="utf-8")
        yield ["-o", f"Dir::Etc::preferencesparts={folder}"]


class AptHold:
    """Holds by apt: dpkg's selections, which everything respects, and preferences, which also choose."""

    def __init__(self, apt: Apt) -> None:
        self._apt = apt

    def missing(self, versions: Mapping[str, str]) -> list[str]:
        """Those that are not held."""
        held = self._apt.held(list(versions))
        return [name for name in versions if name not in held]

    def hold(self, versions: Mapping[str, str]) -> None:
        """Hold packages as they are."""
        self._apt.hold(list(versions))

    def unhold(self, names: Sequence[str]) -> None:
        """Lift holds, where there are any."""
        there = self._apt.installed(names)
        if there:
            self._apt.run("apt-mark", "unhold", *there)

    def verify(self, versions: Mapping[str, str], family: Sequence[str]) -> None:
        """Ask apt whether it would stay with these versions. Raises PackageError with what it would do."""
        would = self._apt.candidates(list(versions))
        moves = [
            f"{name} {version} would become {would.get(name, 'nothing')}"
            for name, version in sorted(versions.items())
            if would.get(name) != version
        ]
        moves += [f"{name} is not held" for name in self.missing(versions)]
        moves += [f"{name} {version} could come in" for name, version in self._others(versions, family)]
        if moves:
            raise PackageError(
                f"The hold does not hold: {'; '.join(moves)}. Other preferences in {PREFERENCES} win over "
                "ours; take them out, or leave these packages to them (mode verify)."
            )

    def _others(self, versions: Mapping[str, str], family: Sequence[str]) -> list[tuple[str, str]]:
        names = [name for name in family if name not in versions]
        if not names:
            return []
        releases = {upstream(version) for version in versions.values()}
        there = self._apt.installed(names)
        return [
            (name, version)
            for name, version in sorted(self._apt.candidates(names).items())
            if upstream(version) not in releases and there.get(name) != version
        ]


class DnfHold:
    """Holds by dnf's versionlock, a plugin that is installed for it.

    rpm's names of a driver carry no branch, so that a lock of each name also keeps other branches out.
    """

    PLUGIN = "python3-dnf-plugin-versionlock"

    def __init__(self, dnf: Dnf) -> None:
        self._dnf = dnf

    def missing(self, versions: Mapping[str, str]) -> list[str]:
        """Those that are not locked at their version."""
        locks = set(self._locks()) if versions else set()
        return [name for name, version in versions.items() if not locks & set(_locks(name, version))]

    def hold(self, versions: Mapping[str, str]) -> None:
        """Lock packages at their versions, in place of other locks of theirs."""
        if not versions:
            return
        if not self._dnf.installed([self.PLUGIN]):
            self._dnf.install([self.PLUGIN])
        self.unhold(list(versions))
        locks = [_locks(name, version)[0] for name, version in versions.items()]
        self._dnf.dnf("versionlock", "add", "--raw", *locks)

    def unhold(self, names: Sequence[str]) -> None:
        """Lift locks, where there are any."""
        ours = [lock for lock in self._locks() if NAME_OF_LOCK.sub("", lock) in names]
        if ours:
            self._dnf.dnf("versionlock", "delete", *ours)

    def verify(self, versions: Mapping[str, str], family: Sequence[str]) -> None:
        """Ask dnf whether the locks are in force. Raises PackageError."""
        missing = self.missing(versions)
        if missing:
            raise PackageError(
                f"The hold does not hold: dnf versionlock does not list {', '.join(missing)}. Is the plugin "
                "switched off in /etc/dnf/plugins/versionlock.conf?"
            )

    def _locks(self) -> list[str]:
        if not self._dnf.installed([self.PLUGIN]):
            return []
        return self._dnf.dnf("versionlock", "list").split()


NAME_OF_LOCK = re.compile(r"-(?:\d+:)?[^-:]+-[^-]+$")


def _locks(name: str, version: str) -> tuple[str, str]:
    """A lock of a package at a version, as we write it and as dnf itself does."""
    return f"{name}-{version}.*", f"{name}-{version if ':' in version else '0:' + version}.*"
