"""Docker and podman, as far as ranks need them: both answer the same questions with slightly other words."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import Run

LABEL = "nimctl.cluster"
SECRETS = Path("/run/nimctl")
"""Memory, not disk: gone after a power loss."""


class Engine:
    """One container engine of this node; every question has an answer where it is not installed."""

    def __init__(self, name: str, run: Run) -> None:
        self.name = name
        self.binary = shutil.which(name) or shutil.which(name, path="/usr/bin:/usr/local/bin:/bin")
        self._run = run

    def call(self, *arguments: str, **options: Any) -> tuple[int, str, str]:
        """Run the engine's command."""
        if self.binary is None:
            return 127, "", f"{self.name} is not installed"
        return self._run([self.binary, *arguments], **options)

    def containers(self, label: str = "") -> list[dict[str, Any]]:
        """Every container, or every one with a label, running or not: name, running, labels."""
        wanted = ["--filter", f"label={label}"] if label else []
        status, out, err = self.call("ps", "--all", "--quiet", "--no-trunc", *wanted)
        if self.binary is None or (status != 0 and _daemon_is_down(err)):
            return []
        if status != 0:
            raise NodeError(f"{self.name} ps failed: {err.strip()}")
        if not out.split():
            return []
        status, out, _ = self.call("inspect", "--type", "container", *out.split())
        # A container that ended in between makes inspect fail for that one; the others are in the answer.
        return [
            {
                "name": entry["Name"].lstrip("/"),
                "running": bool(entry["State"]["Running"]),
                "labels": entry["Config"].get("Labels") or {},
            }
            for entry in json.loads(out or "[]")
        ]

    def answers(self) -> bool:
        """Whether the engine can say which containers there are."""
        return self.call("ps", "--quiet")[0] == 0

    def remove(self, container: str) -> None:
        """Remove a container, running or not; none of that name is fine."""
        self.call("rm", "--force", *(["--ignore"] if self.name == "podman" else []), container)

    def has_image(self, image: str) -> bool:
        """Whether an image is on this node already."""
        return self.call("image", "inspect", image)[0] == 0

    def pull(self, image: str, credentials: Path | None) -> tuple[int, str, str]:
        """Pull an image; ``credentials`` is a folder that holds a ``config.json``."""
        if credentials is None:
            return self.call("pull", "--quiet", image)
        if self.name == "podman":
            return self.call("pull", "--quiet", "--authfile", str(credentials / "config.json"), image)
        return self.call("--config", str(credentials), "pull", "--quiet", image)


def registry_of(image: str) -> str:
    """The registry that an image reference names; without one it is Docker Hub."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"


def login_for(image: str, logins: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The login whose host is the image's registry."""
    host = registry_of(image)
    return next((login for login in logins if login["host"] == host), None)


def auth_file(login: Mapping[str, str]) -> str:
    """The text of a ``config.json`` with one login, as docker and podman read it."""
    pair = f"{login['username']}:{login['password']}".encode()
    host = "https://index.docker.io/v1/" if login["host"] == "docker.io" else login["host"]
    return json.dumps({"auths": {host: {"auth": base64.b64encode(pair).decode()}}})


HINTS = (
    (
        ("unauthorized", "authentication required", "denied", "401", "403"),
        "The registry refuses the login: check the key behind the secret, and that it may read this image.",
    ),
    (
        ("x509", "certificate"),
        "The registry's certificate is not trusted: give its authority as `ca` of the registry.",
    ),
    (
        ("http response to https", "first record does not look like a tls"),
        "The registry speaks plain HTTP: set `insecure: true` on it, if that is meant.",
    ),
    (
        ("manifest unknown", "not found", "name unknown"),
        "The registry has no such image: check its name, and the digest in cluster.lock.yml.",
    ),
    (("no space left",), "The disk is full: free space where the engine keeps its images."),
    (
        ("no such host", "connection refused", "i/o timeout", "network is unreachable", "no route to host"),
        "The node does not reach the registry: check name resolution, firewall and proxy on the node.",
    ),
)


def pull_hint(stderr: str) -> str:
    """What to do about a failed pull."""
    text = stderr.lower()
    for needles, hint in HINTS:
        if any(needle in text for needle in needles):
            return hint
    return "Run the pull on the node by hand to see more."


def _daemon_is_down(stderr: str) -> bool:
    # The second is how docker 29 says it.
    texts = ("cannot connect to the docker daemon", "failed to connect to the docker api")
    return any(text in stderr.lower() for text in texts)
