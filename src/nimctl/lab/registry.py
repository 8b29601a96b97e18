"""Asking the lab's registry, over TLS by the lab's authority and with the lab's key."""

from __future__ import annotations

import base64
import http.client
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from nimctl.lab.keys import Keys
from nimctl.lock import read_lock

PORT = 5000


@dataclass(frozen=True, slots=True)
class Registry:
    """The registry of a lab at an IPv4 address."""

    address: str
    keys: Keys

    @property
    def host(self) -> str:
        """Its name in image references."""
        return f"{self.address}:{PORT}"

    def answers(self) -> None:
        """Check that it is there and asks for a login.

        Raises:
            OSError: it is not, or does not.
        """
        status = self._status("/v2/", {})
        if status != HTTPStatus.UNAUTHORIZED:
            raise OSError(f"the registry does not ask for a login: HTTP {status}")

    def holds(self, repository: str, digest: str) -> bool:
        """Whether it has an image of that digest."""
        login = base64.b64encode(f"$oauthtoken:{self.keys.ngc_key.read_text().strip()}".encode()).decode()
        headers = {
            "Authorization": f"Basic {login}",
            "Accept": "application/vnd.oci.image.manifest.v1+json, "
            "application/vnd.docker.distribution.manifest.v2+json",
        }
        return self._status(f"/v2/{repository}/manifests/{digest}", headers) == HTTPStatus.OK

    def outdated(self, inventory: Path) -> list[str]:
        """Images of this registry whose locked digest it does not hold, as they stand in the lock.

        An image that was made again has another digest; the lock of a lab that went still names the old one.
        """
        lock = read_lock(inventory)
        if not lock:
            return []
        found = []
        for reference, digest in lock.images.items():
            host, _, rest = reference.partition("/")
            repository = rest.partition(":")[0]
            if host == self.host and not self.holds(repository, digest):
                found.append(reference)
        return found

    def _status(self, path: str, headers: dict[str, str]) -> int:
        context = ssl.create_default_context(cafile=str(self.keys.ca))
        connection = http.client.HTTPSConnection(self.address, PORT, timeout=5, context=context)
        try:
            connection.request("HEAD", path, headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()
