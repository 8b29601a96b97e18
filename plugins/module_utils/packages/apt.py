"""apt, as far as roles need it."""

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
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.policy import no_service_starts

INSTALLED_ANEW = re.compile(r"^Inst ([^\s:]+) \(", re.MULTILINE)
INSTALLED_OVER = re.compile(r"^Inst ([^\s:]+)\S* \[(\S+)\] \((\S+)", re.MULTILINE)
REMOVED = re.compile(r"^(?:Purg|Remv) ([^\s:]+)", re.MULTILINE)


class Apt:
    """Debian and Ubuntu."""

    name = "apt"

    def __init__(self, run: Run, bundled: bool = False) -> None:
        self._run = run
        self.bundled = bundled

    def installed(self, names: Iterable[str]) -> dict[str, str]:
        """The versions of those packages that are installed completely; names may be shell patterns."""
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
        return self.candidates([name]).get(name)

    def candidates(self, names: Sequence[str]) -> dict[str, str]:
        """The version that an installation would bring of each package that the lists know."""
        _, out, _ = self._run(["apt-cache", "policy", *names])
        found: dict[str, str] = {}
        name = names[0] if names else ""
        for line in out.splitlines():
            if line and not line[0].isspace():
                name = line.rstrip(":")
            elif line.strip().startswith("Candidate:"):
                version = line.split(":", 1)[1].strip()
                if version != "(none)":
                    found[name] = version
        return found

    def offered(self, names: Sequence[str], options: Sequence[str] = ()) -> dict[str, list[str]]:
        """Every version that the package lists have, newest first; no entry for what they do not know."""
        _, out, _ = self._run(["apt-cache", *options, "madison", *names])
        found: dict[str, list[str]] = {}
        for line in out.splitlines():
            fields = [field.strip() for field in line.split("|")]
            if len(fields) == 3 and fields[1] not in found.setdefault(fields[0], []):
                found[fields[0]].append(fields[1])
        return found

    def install(self, names: list[str], remember: Remember = lambda brought: None) -> None:
        """Install; package lists are fetched only where those on the node do not do.

        ``remember`` is told beforehand of every package that comes anew, dependencies included.
        """
        fresh = any(self.candidate(name) is None for name in names)
        if fresh:
            self.update()
        with no_service_starts():
            try:
                self._install(names, remember)
            except PackageError:
                if fresh:
                    raise
                self.update()
                self._install(names, remember)

    def _install(self, names: list[str], remember: Remember) -> None:
        # Never at the price of a package that somebody else put here: apt refuses instead.
        arguments = ["install", "--no-install-recommends", "--no-remove", *names]
        remember(INSTALLED_ANEW.findall(self.apt("--simulate", *arguments)))
        self.apt(*arguments)

    def simulate(self, change: Change, options: Sequence[str] = (), family: Sequence[str] = ()) -> list[str]:
        """What a change would bring anew. Raises PackageError where it would touch what nobody named.

        Packages whose names fit the patterns of ``family`` may be downgraded.
        """
        would = self.apt("--simulate", *options, *self._arguments(change))
        gone = sorted(set(REMOVED.findall(would)) - set(change.remove))
        if gone:
            raise UnaskedError(f"It would remove {', '.join(gone)}, which nobody asked for.")
        back = [
            f"{name} ({old} to {new})"
            for name, old, new in INSTALLED_OVER.findall(would)
            if not (change.install.get(name) or belongs(name, family)) and self.older(new, old)
        ]
        if back:
            raise UnaskedError(f"It would downgrade {', '.join(back)}, which nobody asked for.")
        return INSTALLED_ANEW.findall(would)

    def apply(self, change: Change, options: Sequence[str] = ()) -> None:
        """Install, upgrade, downgrade and remove in one transaction; what ``simulate`` has allowed."""
        with no_service_starts():
            self.apt(*options, *self._arguments(change))

    def to_download(self, change: Change, options: Sequence[str] = ()) -> list[str]:
        """The package files of a change that the node does not have yet."""
        out = self.apt("--print-uris", *options, *self._arguments(change))
        # What lies in a bundle is on the node already, and apt never copies it.
        rows = (line for line in out.splitlines() if line.startswith("'") and not line.startswith("'file:"))
        return [row.split()[1] for row in rows]

    def download(self, change: Change, options: Sequence[str] = ()) -> None:
        """Fetch what a change needs, and change nothing."""
        self.apt("--download-only", *options, *self._arguments(change))

    @staticmethod
    def _arguments(change: Change) -> list[str]:
        named = [f"{name}={version}" if version else name for name, version in change.install.items()]
        # What apt may downgrade or remove, and nothing else, was seen in the simulation.
        allowed = ["--allow-downgrades", "--allow-change-held-packages", "--no-install-recommends"]
        return ["install", *allowed, *named, *(f"{name}-" for name in change.remove)]

    def older(self, left: str, right: str) -> bool:
        """Whether a version comes before another."""
        status, _, _ = self._run(["dpkg", "--compare-versions", left, "lt", right])
        return status == 0

    def held(self, names: Sequence[str]) -> list[str]:
        """Those of the packages that dpkg's selections hold."""
        held = set(self.run("apt-mark", "showhold").split()) if names else set()
        return [name for name in names if name in held]

    def hold(self, names: Sequence[str]) -> None:
        """Hold packages by dpkg's selections; a package that goes and comes back has lost its own."""
        if names:
            self.run("apt-mark", "hold", *names)

    def remove(self, names: list[str]) -> None:
        """Remove these, and the configuration that their packages came with."""
        self.apt("--allow-change-held-packages", "purge", *names)

    def needless_without(self, names: list[str], brought: list[str]) -> list[str]:
        """Those of ``brought`` that nobody needs or has asked for once ``names`` are gone."""
        # apt keeps what any package merely suggests, as mount does nfs-common.
        gone = self._removed_by("--option=APT::AutoRemove::SuggestsImportant=false", "--auto-remove", *names)
        return [name for name in brought if name in gone and name not in names]

    def takes_along(self, names: list[str]) -> list[str]:
        """Every other package that would have to go with these."""
        return sorted(self._removed_by(*names) - set(names))

    def _removed_by(self, *arguments: str) -> set[str]:
        return set(
            REMOVED.findall(self.apt("--simulate", "--allow-change-held-packages", "purge", *arguments))
        )

    def update(self, options: Sequence[str] = ()) -> None:
        """Fetch the package lists."""
        # It ends with 0 although a repository was refused, unless it is told otherwise.
        self.apt("update", "--error-on=any", *options)

    def run(self, *command: str) -> str:
        """Run a helper of apt. Raises PackageError."""
        status, out, err = self._run(list(command))
        if status != 0:
            raise PackageError(last_words(out, err))
        return out

    def apt(self, *arguments: str) -> str:
        """Run apt-get as modules have to: no question, old configuration kept. Raises PackageError."""
        command = [
            "apt-get",
            "--assume-yes",
            "--quiet=2",
            "-o",
            "DPkg::Lock::Timeout=300",
            "-o",
            "Dpkg::Options::=--force-confold",
        ]
        environment = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_MODE": "l", "LC_ALL": "C.UTF-8"}
        status, out, err = self._run([*command, *arguments], environ_update=environment)
        if status != 0:
            raise PackageError(last_words(out, err))
        return out
