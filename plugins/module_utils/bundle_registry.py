"""Give an engine the images of a bundle under their own names, as their registry would.

An engine keeps the digest of an image by which units name it only where it pulls: loading a file would
make another name, or none. So a registry that has the bundle's images, and can only be read, answers on
the node's loopback while the engine pulls.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ansible_collections.nimctl.multinode.plugins.module_utils.engine import registry_of
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError

ADDRESS = "127.0.77.1"
"""Loopback, but no address on which somebody else listens."""
HOSTS = Path("/etc/hosts")
MARK = "# nimctl: for the moment of a pull from a bundle"
_PATH = re.compile(r"/v2/.+/(?:manifests|blobs)/sha256:([0-9a-f]{64})")
_LONGEST_MANIFEST = 8 * 1024 * 1024
_HUB = "docker.io"


class Handler(BaseHTTPRequestHandler):
    """Answers what an engine asks when it pulls by digest."""

    protocol_version = "HTTP/1.1"
    blobs: Path

    def do_GET(self) -> None:  # noqa: N802 - named by the standard library
        self._answer(True)

    def do_HEAD(self) -> None:  # noqa: N802 - as above
        self._answer(False)

    def _answer(self, with_content: bool) -> None:
        path = self.path.partition("?")[0]
        if path.rstrip("/") == "/v2":
            self._begin("application/json", 2)
            if with_content:
                self.wfile.write(b"{}")
            return
        found = _PATH.fullmatch(path)
        file = self.blobs / found[1] if found else self.blobs
        if not found or not file.is_file():
            self.send_error(404)
            return
        kind = _kind(file) if "/manifests/" in path else "application/octet-stream"
        self._begin(kind, file.stat().st_size, f"sha256:{found[1]}")
        if with_content:
            with file.open("rb") as stream:
                shutil.copyfileobj(stream, self.wfile, 1024 * 1024)

    def _begin(self, kind: str, size: int, digest: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as in the library
        """Say nothing: what goes wrong the engine says."""


def _kind(file: Path) -> str:
    if file.stat().st_size > _LONGEST_MANIFEST:
        return "application/octet-stream"
    document = json.loads(file.read_bytes())
    index = "application/vnd.oci.image.index.v1+json"
    plain = index if "manifests" in document else "application/vnd.oci.image.manifest.v1+json"
    return str(document.get("mediaType") or plain)


@contextmanager
def serving(blobs: Path, port: int = 0) -> Iterator[int]:
    """A registry on the node's loopback; gives its port. Raises NodeError where that is taken."""
    handler = type("BundleRegistry", (Handler,), {"blobs": blobs})
    try:
        server = ThreadingHTTPServer((ADDRESS, port), handler)
    except OSError as error:
        raise NodeError(
            f"Port {port} of {ADDRESS} cannot be had ({error.strerror}), where docker is to find the images "
            "of the bundle. Stop what listens there for the moment of the pull, or use podman."
        ) from error
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def digest_of(image: str) -> str:
    """The hexadecimal digits of an image's digest, empty where it has none."""
    return image.partition("@sha256:")[2]


def has(blobs: Path, image: str) -> bool:
    """Whether the bundle's files of an image are on this node."""
    return bool(digest_of(image)) and (blobs / digest_of(image)).is_file()


@contextmanager
def for_podman(blobs: Path, image: str) -> Iterator[dict[str, str]]:
    """Environment by which podman takes an image from here."""
    name = image.partition("@")[0]
    host = registry_of(image)
    path = name.partition("/")[2] if name.startswith(f"{host}/") else name
    with serving(blobs) as port, tempfile.TemporaryDirectory(prefix="nimctl-") as folder:
        file = Path(folder, "registries.conf")
        file.write_text(
            # The longest prefix wins, also over what the node's own files say about the registry.
            f'[[registry]]\nprefix = "{host}/{path}"\n'
            f'location = "{ADDRESS}:{port}/{path}"\ninsecure = true\n',
            encoding="utf-8",
        )
        yield {"CONTAINERS_REGISTRIES_CONF": str(file)}


@contextmanager
def for_docker(blobs: Path, image: str) -> Iterator[None]:
    """Let docker find an image's registry on this node's loopback, which it trusts without TLS."""
    host = registry_of(image)
    name, _, port = host.partition(":")
    forget_name()
    with serving(blobs, int(port or 80)):
        before = HOSTS.read_text(encoding="utf-8")
        HOSTS.write_text(f"{ADDRESS} {name} {MARK}\n{before}", encoding="utf-8")
        try:
            yield
        finally:
            forget_name()


def forget_name() -> None:
    """Take our line out of the node's names; also one that a killed run has left."""
    lines = HOSTS.read_text(encoding="utf-8").splitlines(keepends=True)
    left = [line for line in lines if MARK not in line]
    if left != lines:
        # Written in place: in containers the file is a mount.
        HOSTS.write_text("".join(left), encoding="utf-8")
