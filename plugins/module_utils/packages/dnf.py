"""dnf, as far as roles need it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import (
    Change,
    PackageError,
    Remember,
    Run,
    UnaskedError,
    belongs,
    last_words,
)

VERSION = "%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}"
"""How rpm is asked for a version as repositories write it: an epoch only where there is one."""


class Dnf:
    """The RHEL family."""

    name = "dnf"

    def __init__(self, run: Run, bundled: bool = False) -> None:
        self._run = run
        self.bundled = bundled

    def installed(self, names: Iterable[str]) -> dict[str, str]:
        """The versions of those packages that are installed; names may be shell patterns."""
        wanted = list(names)
        if not wanted:
            return {}
        # Among all, names may be shell patterns.
        _, out, _ = self._run(
            ["rpm", "--query", "--all", "--queryformat", f"%{{NAME}}\\t{VERSION}\\n", *wanted]
        )
        rows = (line.split("\t") for line in out.splitlines())
        return {row[0]: row[1] for row in rows if len(row) == 2}

    def candidate(self, name: str) -> str | None:
        """The version that an installation would bring, as far as the metadata on the node know."""
        _, out, _ = self._run(
            [
                "dnf",
                "--quiet",
                "--cacheonly",
                "repoquery",
                "--latest-limit=1",
                "--queryformat",
                "%{version}\\n",
                name,
            ]
        )
        return next((line.strip() for line in out.splitlines() if line.strip()), None)

    def offered(self, names: Sequence[str], options: Sequence[str] = ()) -> dict[str, list[str]]:
        """Every version that the repositories have, newest first; no entry for what they do not know."""
        out = self.dnf(
            *options, "repoquery", "--showduplicates", "--queryformat", "%{name}\\t%{evr}\\n", *names
        )
        found: dict[str, list[str]] = {}
        for line in out.splitlines():
            name, _, version = line.partition("\t")
            if version and version not in found.setdefault(name, []):
                # dnf lists the oldest first.
                found[name].insert(0, version)
        return found

    def install(self, names: list[str], remember: Remember = lambda brought: None) -> None:
        """Install without weak dependencies.

        ``remember`` is told afterwards of every package that came anew, dependencies included.
        """
        before = self._all()
        try:
            self.dnf("install", "--setopt=install_weak_deps=False", *names)
        finally:
            remember(sorted(self._all() - before))

    def simulate(self, change: Change, options: Sequence[str] = (), family: Sequence[str] = ()) -> list[str]:
        """What a change would bring anew. Raises PackageError where it would touch what nobody named.

        Packages whose names fit the patterns of ``family`` may be downgraded.
        """
        # It ends with 1 whatever it would do: it was told not to.
        _, out, err = self._run(["dnf", "--assumeno", *options, *self._arguments(change)])
        would = transaction(out)
        if not would and "Nothing to do" not in out + err:
            raise PackageError(last_words(out, err))
        gone = sorted(set(would.get("Removing", [])) - set(change.remove))
        if gone:
            raise UnaskedError(f"It would remove {', '.join(gone)}, which nobody asked for.")
        back = [
            name
            for name in would.get("Downgrading", [])
            if not (change.install.get(name) or belongs(name, family))
        ]
        if back:
            raise UnaskedError(f"It would downgrade {', '.join(back)}, which nobody asked for.")
        return would.get("Installing", [])

    def apply(self, change: Change, options: Sequence[str] = ()) -> None:
        """Install, upgrade, downgrade and remove; what ``simulate`` has allowed."""
        self.dnf(*options, *self._arguments(change))
        left = sorted(self.installed(change.remove))
        if left:
            self.remove(left)

    def to_download(self, change: Change, options: Sequence[str] = ()) -> list[str]:
        """The packages of a change that the node does not have yet."""
        command = ["dnf", "--assumeyes", "--quiet", *options, "--downloadonly", "--cacheonly"]
        status, _, _ = self._run([*command, *self._arguments(change)])
        return [] if status == 0 else list(change.install)

    def download(self, change: Change, options: Sequence[str] = ()) -> None:
        """Fetch what a change needs, and change nothing."""
        self.dnf(*options, "--downloadonly", "--setopt=keepcache=True", *self._arguments(change))

    @staticmethod
    def _arguments(change: Change) -> list[str]:
        # With an exact version `install` also goes back to an older one.
        named = [f"{name}-{version}" if version else name for name, version in change.install.items()]
        weak = "--setopt=install_weak_deps=False"
        return ["install", weak, *(["--allowerasing"] if change.remove else []), *named]

    def held(self, names: Sequence[str]) -> list[str]:
        """None: version locks lie in a file of their own, which no transaction touches."""
        return []

    def hold(self, names: Sequence[str]) -> None:
        """Nothing to do, for the same reason."""

    def remove(self, names: list[str]) -> None:
        """Remove these, and nothing that was installed for them."""
        self.dnf("remove", "--setopt=clean_requirements_on_remove=False", *names)

    def needless_without(self, names: list[str], brought: list[str]) -> list[str]:
        """Those of ``brought`` that nobody needs or has asked for once ``names`` are gone."""
        if not brought:
            return []
        asked_for = self.dnf(
            "--disablerepo=*", "repoquery", "--installed", "--userinstalled", "--queryformat", "%{name}\\n"
        )
        return [name for name in brought if name not in {*names, *asked_for.split()}]

    def takes_along(self, names: list[str]) -> list[str]:
        """Every other package that would have to go with these, as name-version-release."""
        _, out, err = self._run(["rpm", "--erase", "--test", *names])
        return sorted(set(re.findall(r"is needed by \(installed\) (\S+)", out + err)))

    def update(self, options: Sequence[str] = ()) -> None:
        """Fetch the metadata of repositories."""
        self.dnf(*options, "makecache", "--refresh")

    def _all(self) -> set[str]:
        _, out, _ = self._run(["rpm", "--query", "--all", "--queryformat", "%{NAME}\\n"])
        return set(out.split())

    def dnf(self, *arguments: str) -> str:
        """Run dnf without questions. Raises PackageError."""
        status, out, err = self._run(["dnf", "--assumeyes", "--quiet", *arguments])
        if status != 0:
            raise PackageError(last_words(out, err))
        return out


def transaction(out: str) -> dict[str, list[str]]:
    """Package names by what would happen to them, out of dnf's table of a transaction."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in out.splitlines():
        if re.match(r"[A-Z][a-z ]+:$", line):
            section = line.split()[0].rstrip(":")
        elif re.match(r" \S", line) and section:
            found.setdefault(section, []).append(line.split()[0])
        elif line.startswith("Transaction Summary"):
            break
    return found
