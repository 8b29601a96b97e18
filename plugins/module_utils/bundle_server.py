"""Give the files of a bundle to the other nodes of a cluster, to read and with a token.

Runs alone on a node, with the standard library: C(python3 bundle_server.py FOLDER PORT TOKENFILE).
"""

from __future__ import annotations

import hmac
import os
import re
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HEADER = "X-Nimctl-Token"
NOBODY = 65534
FOLDERS = ("packages", "images")


class Handler(BaseHTTPRequestHandler):
    """Answers GET for files below packages/ and images/, from a byte on where that is asked."""

    folder: Path
    token: str

    def do_GET(self) -> None:  # noqa: N802 - named by the standard library
        if not hmac.compare_digest(self.headers.get(HEADER, "").encode(), self.token.encode()):
            self.send_error(403)
            return
        path = (self.folder / self.path.lstrip("/")).resolve()
        inside = any((self.folder / name).resolve() in path.parents for name in FOLDERS)
        if not inside or not path.is_file():
            self.send_error(404)
            return
        self._send(path)

    def _send(self, path: Path) -> None:
        size = path.stat().st_size
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        if start > size:
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(size - start))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{max(size - 1, 0)}/{size}")
        self.end_headers()
        self.wfile.flush()
        with path.open("rb") as stream:
            self.connection.sendfile(stream, start)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as in the library
        """Say nothing: the journal of a node is not the place for each of thousands of files."""


class Server(ThreadingHTTPServer):
    """On IPv6 and IPv4 where the node has both."""

    daemon_threads = True
    request_queue_size = 256


def server(folder: Path, port: int, token: str) -> Server:
    """A server that is bound and does not serve yet."""
    handler = type("BundleHandler", (Handler,), {"folder": folder, "token": token})
    both = socket.has_dualstack_ipv6()
    kind = type("BundleServer", (Server,), {"address_family": socket.AF_INET6 if both else socket.AF_INET})
    made: Server = kind(("::" if both else "0.0.0.0", port), handler, bind_and_activate=False)  # noqa: S104 - a token guards it
    if both:
        made.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.allow_reuse_address = True
    made.server_bind()
    made.server_activate()
    return made


def main(folder: str, port: str, token_file: str) -> None:
    """Serve until somebody ends this; with no more rights than to read what everybody may read."""
    token = Path(token_file).read_text(encoding="utf-8")
    made = server(Path(folder), int(port), token)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    made.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
