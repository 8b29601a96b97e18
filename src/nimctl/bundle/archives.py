"""Where a distribution's own packages come from while a bundle is made."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from nimctl.errors import RejectedError
from nimctl.stack.rows import Distribution
from nimctl.stack.versions import Versions

RELEASE = Path("/etc/os-release")
REPOS = Path("/etc/yum.repos.d")


@cache
def rows() -> dict[str, dict[str, Any]]:
    """The rows of archives.yml by distribution."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(
        (files("nimctl") / "data" / "archives.yml").read_text("utf-8")
    )
    return found


def codename(distribution: str) -> str:
    """The codename of a release, empty for one without."""
    return str(rows().get(distribution, {}).get("codename", ""))


def own_distribution(tables: Versions, release: Path = RELEASE) -> str:
    """The row of this machine's distribution, empty where it has none."""
    if not release.is_file():
        return ""
    fields = dict(
        part.split("=", 1) for part in shlex.split(release.read_text(), comments=True) if "=" in part
    )
    try:
        return tables.distribution(fields.get("ID", ""), fields.get("VERSION_ID", "")).name
    except RejectedError:
        return ""


def sources(
    distribution: Distribution, architecture: str, given: Sequence[Path], tables: Versions
) -> dict[str, str]:
    """Texts of lists of sources by file name: those given, else this machine's own, else the public archive.

    This machine's own serve its own distribution: a site that has a mirror has told its machines.
    Raises RejectedError where nobody knows any.
    """
    suffixes = (".sources", ".list") if distribution.manager == "apt" else (".repo",)
    if given:
        fitting = {path.name: path.read_text(encoding="utf-8") for path in given if path.suffix in suffixes}
        if not fitting:
            raise RejectedError(
                f"--sources: found no file {' or '.join('*' + suffix for suffix in suffixes)} for "
                f"{distribution.name}"
            )
        return fitting
    if own_distribution(tables) == distribution.name:
        return _of_this_machine(distribution.manager)
    row = rows().get(distribution.name)
    if row is None:
        raise RejectedError(
            f"{distribution.name}: give its repositories with --sources FILE.repo; its public mirrors are "
            "many, and RHEL's need a subscription"
        )
    keyring = row["keyring"]
    if not Path(keyring["file"]).is_file():
        raise RejectedError(
            f"{keyring['file']} is missing, with which the packages of {distribution.name} are verified; "
            f"install {keyring['package']}"
        )
    stanzas = [
        "Types: deb\n"
        f"URIs: {each['uri'] if architecture == 'x86_64' else each.get('ports', each['uri'])}\n"
        f"Suites: {' '.join(each['suites'])}\nComponents: {' '.join(each['components'])}\n"
        f"Signed-By: {keyring['file']}\n"
        for each in row["archives"]
    ]
    return {"distribution.sources": "\n".join(stanzas)}


def _of_this_machine(manager: str) -> dict[str, str]:
    if manager == "dnf":
        return {path.name: path.read_text(encoding="utf-8") for path in sorted(REPOS.glob("*.repo"))}
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SOURCESENTRY)", "Created-By: Packages"],  # noqa: S607 - fixed
        capture_output=True,
        text=True,
        check=False,
    )
    paths = {line.rpartition(":")[0] for line in listing.stdout.splitlines()}
    return {Path(path).name: Path(path).read_text(encoding="utf-8") for path in sorted(paths) if path}
