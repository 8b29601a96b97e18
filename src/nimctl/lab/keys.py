"""The lab's keys: SSH, certificate authority, registry certificate, and the key that stands for an NGC key.

All lie in ``.lab/`` beside the description: a folder of mode 0700 whose name keeps Ansible from reading it
as inventory. What is there already is kept, so that a lab that grows keeps its identity.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from nimctl.lab.command import run

_CA = "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"
_DAYS = "365"


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the lab's keys lie."""

    folder: Path

    @property
    def ssh_key(self) -> Path:
        """The private key that opens every node."""
        return self.folder / "ssh_key"

    @property
    def known_hosts(self) -> Path:
        """The nodes' host keys."""
        return self.folder / "known_hosts"

    @property
    def ca(self) -> Path:
        """The certificate of the lab's authority."""
        return self.folder / "ca.crt"

    @property
    def ngc_key(self) -> Path:
        """The key that opens the registry, of the form of an NGC key."""
        return self.folder / "ngc_api_key"

    def host_key(self, node: str) -> Path:
        """The host key of a node."""
        return self.folder / "hosts" / node

    def server(self, address: str) -> tuple[Path, Path]:
        """Certificate and key of the registry at an address."""
        return self.folder / f"registry-{address}.crt", self.folder / f"registry-{address}.key"

    def prepare(self, nodes: list[str], registry: str) -> None:
        """Make what is missing.

        Args:
            nodes: Names of the nodes.
            registry: IPv4 address of the registry.

        Raises:
            CommandError: ssh-keygen or openssl is missing or failed.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        (self.folder / "hosts").mkdir(mode=0o700, exist_ok=True)
        _ssh_key(self.ssh_key, "nimctl lab")
        for node in nodes:
            _ssh_key(self.host_key(node), node)
        if not self.ngc_key.exists():
            _write(self.ngc_key, f"nvapi-{secrets.token_urlsafe(48)}\n")
        authority_key = self.folder / "ca.key"
        if not self.ca.exists():
            _authority(self.ca, authority_key)
        certificate, key = self.server(registry)
        if not certificate.exists():
            _server(certificate, key, self.ca, authority_key, registry)

    def write_known_hosts(self, addresses: dict[str, str]) -> None:
        """Write down the nodes' host keys, so that nobody has to trust a first sight."""
        lines = []
        for node, address in sorted(addresses.items()):
            kind, key = self.host_key(node).with_suffix(".pub").read_text().split()[:2]
            lines.append(f"{node},{address} {kind} {key}\n")
        _write(self.known_hosts, "".join(lines))


def _ssh_key(path: Path, comment: str) -> None:
    if path.exists() and path.with_suffix(".pub").exists():
        return
    path.unlink(missing_ok=True)
    run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)))


def _authority(certificate: Path, key: Path) -> None:
    unfinished = certificate.with_suffix(".new")
    run(
        (
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", _DAYS, "-subj", "/CN=nimctl lab", "-keyout", str(key), "-out", str(unfinished)),
            *("-addext", _CA[0], "-addext", _CA[1]),
        )
    )
    key.chmod(0o600)
    unfinished.replace(certificate)


def _server(certificate: Path, key: Path, ca: Path, ca_key: Path, address: str) -> None:
    request, unfinished = certificate.with_suffix(".csr"), certificate.with_suffix(".new")
    extensions = certificate.with_suffix(".ext")
    _write(
        extensions,
        f"subjectAltName=IP:{address},DNS:registry,DNS:registry.lab\nextendedKeyUsage=serverAuth\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    )
    run(
        (
            *("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", "/CN=registry", "-keyout", str(key), "-out", str(request)),
        )
    )
    key.chmod(0o600)
    run(
        (
            *("openssl", "x509", "-req", "-in", str(request), "-CA", str(ca), "-CAkey", str(ca_key)),
            *("-CAcreateserial", "-days", _DAYS, "-extfile", str(extensions), "-out", str(unfinished)),
        )
    )
    request.unlink()
    extensions.unlink()
    unfinished.replace(certificate)


def _write(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.replace(path)
