"""apt and dnf, as far as roles need them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

Run = Callable[..., "tuple[int, str, str]"]
"""Runs a command, with ``environ_update`` as an option, and gives exit status, stdout and stderr."""

Remember = Callable[["list[str]"], None]
"""Is told which packages came anew with an installation."""

POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# Written by nimctl while it installs packages.\nexit 101\n"


class PackageError(Exception):
    """The package manager failed; its own last words."""


def last_words(out: str, err: str, lines: int = 15) -> str:
    """The end of what a command wrote, errors first."""
    errors = [
        line for line in (out + "\n" + err).splitlines() if line.startswith(("E:", "Error", "error:", "W:"))
    ]
    return "\n".join((errors or (out + "\n" + err).strip().splitlines())[-lines:])


class Apt:
    """Debian and Ubuntu."""

    name = "apt"

    def __init__(self, run: Run) -> None:
        self._run = run

    def installed(self, names: Iterable[str]) -> dict[str, str]:
        """The versions of those packages that are installed."""
        wanted = list(names)
        if not wanted:
            return {}
        _, out, _ = self._run(
            ["dpkg-query", "--show", "--showformat=${Package}\\t${db:Status-Status}\\t${Version}\\n", *wanted]
        )
        rows = (line.split("\t") for line in out.splitlines())
        return {row[0]: row[2] for row in rows if len(row) == 3 and row[1] == "installed"}

    def candidate(self, name: str) -> str | None:
        """The version that an installation would bring, as far as the package lists on the node know."""
        _, out, _ = self._run(["apt-cache", "policy", name])
        for line in out.splitlines():
            if line.strip().startswith("Candidate:"):
                version = line.split(":", 1)[1].strip()
                return None if version == "(none)" else version
        return None

    def install(self, names: list[str], remember: Remember = lambda brought: None) -> None:
        """Install; package lists are fetched only where those on the node do not do.

        ``remember`` is told beforehand of every package that comes anew, dependencies included.
        """
        fresh = any(self.candidate(name) is None for name in names)
        if fresh:
            self._update()
        with no_service_starts():
            try:
                self._install(names, remember)
            except PackageError:
                if fresh:
                    raise
                self._update()
                self._install(names, remember)

    def _install(self, names: list[str], remember: Remember) -> None:
        # Never at the price of a package that somebody else put here: apt refuses instead.
        arguments = ["install", "--no-install-recommends", "--no-remove", *names]
        remember(re.findall(r"^Inst ([^\s:]+) \(", self._apt("--simulate", *arguments), re.MULTILINE))
        self._apt(*arguments)

    def remove(self, names: list[str]) -> None:
        """Remove these, and the configuration that their packages came with."""
        self._apt("purge", *names)

    def needless_without(self, names: list[str], brought: list[str]) -> list[str]:
        """Those of ``brought`` that nobody needs or has asked for once ``names`` are gone."""
        gone = self._removed_by("--auto-remove", *names)
        return [name for name in brought if name in gone and name not in names]

    def takes_along(self, names: list[str]) -> list[str]:
        """Every other package that would have to go with these."""
        return sorted(self._removed_by(*names) - set(names))

    def _removed_by(self, *arguments: str) -> set[str]:
        simulated = self._apt("--simulate", "purge", *arguments)
        return set(re.findall(r"^(?:Purg|Remv) (\S+)", simulated, re.MULTILINE))

    def _update(self) -> None:
        # It ends with 0 although a repository was refused, unless it is told otherwise.
        self._apt("update", "--error-on=any")

    def _apt(self, *arguments: str) -> str:
        command = [
            "apt-get",
            "--assume-yes",
            "--quiet=2",
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "Dpkg::Options::=--force-confold",
        ]
        environment = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l"}
        status, out, err = self._run([*command, *arguments], environ_update=environment)
        if status != 0:
            raise PackageError(last_words(out, err))
        return out


class Dnf:
    """The RHEL family."""

    name = "dnf"

    def __init__(self, run: Run) -> None:
        self._run = run

    def installed(self, names: Iterable[str]) -> dict[str, str]:
        """The versions of those packages that are installed."""
        wanted = list(names)
        if not wanted:
            return {}
        _, out, _ = self._run(["rpm", "--query", "--queryformat", "%{NAME}\\t%{VERSION}\\n", *wanted])
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

    def install(self, names: list[str], remember: Remember = lambda brought: None) -> None:
        """Install without weak dependencies.

        ``remember`` is told afterwards of every package that came anew, dependencies included.
        """
        before = self._all()
        try:
            self._dnf("install", "--setopt=install_weak_deps=False", *names)
        finally:
            remember(sorted(self._all() - before))

    def remove(self, names: list[str]) -> None:
        """Remove these, and nothing that was installed for them."""
        self._dnf("remove", "--setopt=clean_requirements_on_remove=False", *names)

    def needless_without(self, names: list[str], brought: list[str]) -> list[str]:
        """Those of ``brought`` that nobody needs or has asked for once ``names`` are gone."""
        if not brought:
            return []
        asked_for = self._dnf(
            "--disablerepo=*", "repoquery", "--installed", "--userinstalled", "--queryformat", "%{name}\\n"
        )
        return [name for name in brought if name not in {*names, *asked_for.split()}]

    def takes_along(self, names: list[str]) -> list[str]:
        """Every other package that would have to go with these, as name-version-release."""
        _, out, err = self._run(["rpm", "--erase", "--test", *names])
        return sorted(set(re.findall(r"is needed by \(installed\) (\S+)", out + err)))

    def _all(self) -> set[str]:
        _, out, _ = self._run(["rpm", "--query", "--all", "--queryformat", "%{NAME}\\n"])
        return set(out.split())

    def _dnf(self, *arguments: str) -> str:
        status, out, err = self._run(["dnf", "--assumeyes", "--quiet", *arguments])
        if status != 0:
            raise PackageError(last_words(out, err))
        return out


def package_manager(run: Run) -> Apt | Dnf | None:
    """The package manager of this node."""
    if shutil.which("apt-get"):
        return Apt(run)
    return Dnf(run) if shutil.which("dnf") else None


@contextmanager
def no_service_starts() -> Iterator[None]:
    """Keep packages from starting their services, by Debian's policy layer; somebody else's policy stays.

    One of ours that a killed run left behind is taken over, and goes at the end.
    """
    if POLICY.exists() and POLICY.read_text() != POLICY_TEXT:
        yield
        return
    POLICY.write_text(POLICY_TEXT)
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
