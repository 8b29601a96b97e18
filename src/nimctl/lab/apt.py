"""Where the lab's Debian packages come from: the machine's own mirror, proxy and certificates.

A site that has a mirror of its own has told its machines; the lab's nodes get told the same. On a machine
that is not Debian the official mirror is used.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from nimctl.lab.command import run
from nimctl.lab.tarball import File, Files

RELEASE = "trixie"
_ARCHIVE = "http://deb.debian.org/debian"
_SECURITY = "http://deb.debian.org/debian-security"
_CERTIFICATES = Path("/usr/local/share/ca-certificates")
_PASSED_ON = re.compile(
    r"^(Acquire::(?:https?::(?:Proxy\S*|Verify-\S+)|Check-Valid-Until|Check-Date|Retries)) \"(.*)\";$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Mirrors, further apt settings, and certificate authorities that the machine trusts in addition."""

    archive: str
    security: str
    settings: tuple[tuple[str, str], ...]
    certificates: tuple[tuple[str, bytes], ...]

    def files(self) -> Files:
        """The files that make a Debian container use these."""
        found = {
            "/etc/apt/sources.list.d/debian.sources": File(_sources(self.archive, self.security).encode()),
            "/etc/apt/apt.conf.d/90nimctl-lab": File(_settings(self.settings).encode()),
            # A node of a lab can be made again; waiting for the disk after each package is time lost.
            "/etc/dpkg/dpkg.cfg.d/90nimctl-lab": File(
                b"force-unsafe-io\n"
                b"path-exclude=/usr/share/man/*\n"
                b"path-exclude=/usr/share/doc/*\n"
                b"path-exclude=/usr/share/locale/*\n"
            ),
        }
        for name, content in self.certificates:
            found[f"/usr/local/share/ca-certificates/{name}"] = File(content)
        return found


def detect() -> Sources:
    """Look up what this machine uses."""
    archive, security = _mirrors() if _is_debian() else (_ARCHIVE, _SECURITY)
    settings: tuple[tuple[str, str], ...] = ()
    if shutil.which("apt-config"):
        settings = tuple(sorted(_PASSED_ON.findall(run(("apt-config", "dump")).stdout)))
    certificates = tuple(
        (path.name, path.read_bytes()) for path in sorted(_CERTIFICATES.glob("*.crt")) if path.is_file()
    )
    return Sources(archive, security, settings, certificates)


def _is_debian() -> bool:
    release = Path("/etc/os-release")
    if not release.is_file():
        return False
    fields = dict(
        part.split("=", 1) for part in shlex.split(release.read_text(), comments=True) if "=" in part
    )
    return fields.get("ID") == "debian"


def _mirrors() -> tuple[str, str]:
    """The archive and the security archive in the machine's own sources; Debian's where it names none."""
    listing = run(
        ("apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(REPO_URI)", "Created-By: Packages"),
        check=False,
    )
    return pick_mirrors(listing.stdout)


def pick_mirrors(listing: str) -> tuple[str, str]:
    """Choose the mirrors from lines of ``origin|codename|URI``."""
    archive, security = "", ""
    for line in listing.splitlines():
        origin, _, rest = line.partition("|")
        codename, _, address = rest.partition("|")
        if origin != "Debian" or not address.startswith(("http://", "https://")):
            continue
        if codename.endswith("-security"):
            security = security or address.rstrip("/")
        elif "-" not in codename:
            archive = archive or address.rstrip("/")
    return archive or _ARCHIVE, security or _SECURITY


def _sources(archive: str, security: str) -> str:
    stanza = (
        "Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\n"
        "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
    )
    return (
        stanza.format(uri=archive, suites=f"{RELEASE} {RELEASE}-updates")
        + "\n"
        + stanza.format(uri=security, suites=f"{RELEASE}-security")
    )


def _settings(settings: tuple[tuple[str, str], ...]) -> str:
    lines = [
        "// Packages that a node may want lie in /var/cache/apt/archives and stay there.",
        'APT::Keep-Downloaded-Packages "true";',
        'Acquire::Languages "none";',
        *(f'{name} "{value}";' for name, value in settings),
    ]
    return "\n".join(lines) + "\n"
