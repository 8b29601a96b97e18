"""Packages for apt: apt itself chooses them in a root of their own, and verifies every one it fetches.

The root has an empty list of installed packages, so that what comes is complete whatever a node has.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nimctl.errors import NimctlError, RejectedError

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_URI = re.compile(r"^'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) ", re.MULTILINE)

Watch = Callable[[int, int], None]
"""Is told how many bytes are there, and how many there will be."""


@dataclass(frozen=True, slots=True)
class AptRoot:
    """A root for apt below a folder; ``architecture`` as uname -m says it."""

    folder: Path
    architecture: str

    def prepare(self) -> None:
        """Make the root. Raises RejectedError where this machine has no apt."""
        if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
            raise RejectedError(
                "packages of Debian and Ubuntu are chosen by apt, and this machine has none: make the bundle "
                "on Debian or Ubuntu, or in a container of one"
            )
        for name in ("lists/partial", "cache/archives/partial", "sources", "preferences", "state", "keys"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()

    def add(self, name: str, source: str, key: str | None = None) -> None:
        """Add a list of sources as deb822 or one-line text, by its file name, with the key that it names."""
        (self.folder / "sources" / name).write_text(source, encoding="utf-8")
        if key is not None:
            self.key(name).write_text(key, encoding="utf-8", errors="surrogateescape")

    def key(self, name: str) -> Path:
        """Where the key of a list of sources lies."""
        return self.folder / "keys" / f"{Path(name).stem}.asc"

    def update(self) -> None:
        """Fetch the package lists; apt checks their signatures. Raises NimctlError."""
        self._apt("apt-get", "update", "--error-on=any")

    def offered(self, names: Sequence[str], source: str | None = None) -> dict[str, list[str]]:
        """Every version of packages, newest first, from one list of sources or all; none for unknown ones."""
        file = self.folder / "sources" / (source or "")
        only = ["-o", f"Dir::Etc::sourcelist={file}", "-o", "Dir::Etc::sourceparts=/dev/null"]
        found: dict[str, list[str]] = {name: [] for name in names}
        for line in self._apt("apt-cache", *(only if source else ()), "madison", *names).splitlines():
            fields = [field.strip() for field in line.split("|")]
            if len(fields) == 3 and fields[1] not in found.setdefault(fields[0], []):
                found[fields[0]].append(fields[1])
        return found

    def prefer(self, texts: Sequence[str]) -> None:
        """Let apt follow these preferences, and no others."""
        for old in (self.folder / "preferences").iterdir():
            old.unlink()
        for number, text in enumerate(texts):
            (self.folder / "preferences" / f"{number}.pref").write_text(text, encoding="utf-8")

    def closure(self, wanted: Mapping[str, str]) -> dict[str, int]:
        """File names and sizes of packages (at a version, or empty: any) with all that they depend on."""
        # apt lists what it would fetch: with an empty store that is everything.
        empty = self.folder / "none"
        (empty / "partial").mkdir(parents=True, exist_ok=True)
        out = self._apt("apt-get", "-o", f"Dir::Cache::archives={empty}", "--print-uris", *_install(wanted))
        return {found["file"]: int(found["size"]) for found in _URI.finditer(out)}

    def download(self, wanted: Mapping[str, str], watch: Watch) -> list[Path]:
        """Fetch them; what an earlier call has fetched, also in part, is not fetched again."""
        files = self.closure(wanted)
        archives = self.folder / "cache" / "archives"
        total = sum(files.values())
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            [*self._command("apt-get"), "--download-only", *_install(wanted)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=_environment(),
            text=True,
        )
        try:
            while True:
                try:
                    out, _ = process.communicate(timeout=0.5)
                    break
                except subprocess.TimeoutExpired:
                    watch(_bytes_of(archives, files), total)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if process.returncode:
            raise NimctlError(f"apt could not fetch the packages:\n{_errors(out)}")
        watch(total, total)
        return [archives / name for name in files]

    def _apt(self, program: str, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - a fixed command
            [*self._command(program), *arguments],
            capture_output=True,
            env=_environment(),
            text=True,
            check=False,
        )
        if done.returncode:
            raise NimctlError(f"{program} failed:\n{_errors(done.stdout + done.stderr)}")
        return done.stdout

    def _command(self, program: str) -> list[str]:
        settings = {
            "Dir::State": self.folder / "state",
            "Dir::State::lists": self.folder / "lists",
            "Dir::State::status": self.folder / "status",
            "Dir::Cache": self.folder / "cache",
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": self.folder / "sources",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": self.folder / "preferences",
            "APT::Architecture": ARCHITECTURES.get(self.architecture, self.architecture),
            "APT::Architectures": ARCHITECTURES.get(self.architecture, self.architecture),
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Debug::NoLocking": "true",
        }
        return [program, *(word for k, v in settings.items() for word in ("-o", f"{k}={v}"))]


def _install(wanted: Mapping[str, str]) -> list[str]:
    named = [f"{name}={version}" if version else name for name, version in sorted(wanted.items())]
    return ["--assume-yes", "--quiet", "install", "--no-install-recommends", *named]


def _environment() -> dict[str, str]:
    return {**os.environ, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def _errors(out: str) -> str:
    lines = out.strip().splitlines()
    said = [line for line in lines if re.match(r"E: |W: |.* (?:Depends|PreDepends|Conflicts|Breaks): ", line)]
    return "\n".join(said or lines[-15:])


def _bytes_of(folder: Path, files: Mapping[str, int]) -> int:
    found = 0
    for name in files:
        for file in (folder / name, folder / "partial" / name):
            if file.exists():
                found += file.stat().st_size
                break
    return found


def index(folder: Path) -> dict[str, list[str]]:
    """Write the index of a folder of packages, for apt; returns the versions of packages by name.

    The entries are those of the packages' own control files. Raises NimctlError.
    """
    entries = []
    versions: dict[str, list[str]] = {}
    for file in sorted(folder.glob("*.deb")):
        done = subprocess.run(  # noqa: S603 - a fixed command
            ["dpkg-deb", "--field", str(file)],  # noqa: S607 - dpkg is where apt is
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise NimctlError(f"{file}: cannot be read as a package: {done.stderr.strip()}")
        fields = dict(re.findall(r"^(Package|Version): (\S+)$", done.stdout, re.MULTILINE))
        versions.setdefault(fields["Package"], []).append(fields["Version"])
        with file.open("rb") as stream:
            checksum = hashlib.file_digest(stream, "sha256").hexdigest()
        entries.append(
            f"{done.stdout.rstrip()}\nFilename: ./{file.name}\nSize: {file.stat().st_size}\n"
            f"SHA256: {checksum}\n"
        )
    text = "\n".join(entries).encode()
    (folder / "Packages").write_bytes(text)
    (folder / "Release").write_text(
        "Origin: nimctl\nLabel: nimctl bundle\nSuite: bundle\n"
        f"SHA256:\n {hashlib.sha256(text).hexdigest()} {len(text)} Packages\n",
        encoding="utf-8",
    )
    return versions
