"""Packages for dnf: dnf itself chooses them for an empty root, and checks every signature."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nimctl.bundle.deb import Watch
from nimctl.errors import NimctlError, RejectedError


@dataclass(frozen=True, slots=True)
class DnfRoot:
    """An empty root for dnf below a folder; ``release`` is the major release, such as 9."""

    folder: Path
    architecture: str
    release: str

    def prepare(self) -> None:
        """Make the root. Raises RejectedError where this machine lacks a tool."""
        missing = [name for name in ("dnf", "createrepo_c", "rpm") if not shutil.which(name)]
        if missing:
            raise RejectedError(
                f"packages of the RHEL family are chosen by dnf, and this machine lacks {', '.join(missing)} "
                "(Debian and Ubuntu: apt-get install dnf createrepo-c rpm)"
            )
        for name in ("root", "cache", "sources", "keys", "packages"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def add(self, name: str, source: str, key: str | None = None) -> None:
        """Add a file of repositories by its name, with the key that it names."""
        (self.folder / "sources" / name).write_text(source, encoding="utf-8")
        if key is not None:
            self.key(name).write_text(key, encoding="utf-8", errors="surrogateescape")

    def key(self, name: str) -> Path:
        """Where the key of a file of repositories lies."""
        return self.folder / "keys" / f"{Path(name).stem}.asc"

    def update(self) -> None:
        """Fetch the metadata. Raises NimctlError."""
        self._dnf("makecache", "--refresh")

    def offered(self, names: Sequence[str], source: str | None = None) -> dict[str, list[str]]:
        """Every version of packages, newest first, from one file of repositories or all."""
        only: list[str] = []
        if source:
            text = (self.folder / "sources" / source).read_text(encoding="utf-8")
            only = [
                "--disablerepo=*",
                *(f"--enablerepo={each}" for each in re.findall(r"^\[(.+)\]", text, re.M)),
            ]
        listing = self._dnf(
            *only, "repoquery", "--showduplicates", "--queryformat", "%{name}\\t%{evr}\\n", *names
        )
        found: dict[str, list[str]] = {name: [] for name in names}
        for line in listing.splitlines():
            name, _, version = line.partition("\t")
            if version and version not in found.setdefault(name, []):
                # dnf lists the oldest first.
                found[name].insert(0, version)
        return found

    def download(self, wanted: Mapping[str, str], watch: Watch) -> list[Path]:
        """Fetch packages (at a version, or empty: any) with all that they depend on. Raises NimctlError."""
        packages = self.folder / "packages"
        named = [f"{name}-{version}" if version else name for name, version in sorted(wanted.items())]
        weak = "--setopt=install_weak_deps=False"
        # Signatures are checked before dnf ends, although nothing is installed.
        self._dnf("install", weak, "--downloadonly", f"--downloaddir={packages}", *named)
        files = sorted(packages.glob("*.rpm"))
        size = sum(file.stat().st_size for file in files)
        watch(size, size)
        return files

    def _dnf(self, *arguments: str) -> str:
        options = [
            f"--installroot={self.folder / 'root'}",
            f"--setopt=reposdir={self.folder / 'sources'}",
            f"--setopt=cachedir={self.folder / 'cache'}",
            f"--forcearch={self.architecture}",
            f"--releasever={self.release}",
            "--setopt=module_platform_id=platform:el" + self.release,
            "--setopt=skip_if_unavailable=False",
        ]
        done = subprocess.run(  # noqa: S603 - a fixed command
            ["dnf", "--assumeyes", "--quiet", *options, *arguments],  # noqa: S607 - found by prepare
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            words = (done.stderr.strip() or done.stdout.strip()).splitlines()[-15:]
            raise NimctlError("dnf could not fetch the packages:\n" + "\n".join(words))
        return done.stdout


def index(folder: Path) -> dict[str, list[str]]:
    """Write the metadata of a folder of packages, for dnf; returns the versions of packages by name."""
    commands = (
        # Without times: the same packages give the same metadata.
        ["createrepo_c", "--quiet", "--general-compress-type=gz", "--no-database", str(folder)],
        [
            "rpm",
            "--query",
            "--nosignature",
            "--queryformat",
            "%{NAME}\\t%|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\n",
            "--package",
        ],
    )
    files = [str(file) for file in sorted(folder.glob("*.rpm"))]
    out = ""
    for command in (commands[0], [*commands[1], *files]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - as above
        if done.returncode:
            raise NimctlError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
        out = done.stdout
    versions: dict[str, list[str]] = {}
    for line in out.splitlines():
        name, _, version = line.partition("\t")
        versions.setdefault(name, []).append(version)
    return versions
