"""A key that signs packages: fetched when it is needed, and believed only for its fingerprint."""

from __future__ import annotations

from ansible.module_utils.urls import open_url
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.openpgp import MalformedKeyError, fingerprints


def plain(fingerprint: str) -> str:
    """A fingerprint as it is compared: upper case, no spaces."""
    return fingerprint.replace(" ", "").upper()


def is_key(text: str | None, fingerprint: str) -> bool:
    """Whether a text holds exactly the key with this fingerprint."""
    try:
        return text is not None and fingerprints(text) == [plain(fingerprint)]
    except MalformedKeyError:
        return False


def fetch_key(url: str, fingerprint: str) -> str:
    """The key behind a URL. Raises NodeError where there is none, or another one."""
    try:
        text: str = open_url(url, timeout=60, http_agent="nimctl").read().decode("utf-8", "surrogateescape")
    # open_url raises whatever the connection, TLS or the proxy raise.
    except Exception as error:
        raise NodeError(
            f"{url} could not be fetched: {error}. Check the proxy, or give the URL of a mirror."
        ) from error
    try:
        found = fingerprints(text)
    except MalformedKeyError as error:
        raise NodeError(f"{url} holds no OpenPGP key: {error}") from error
    if found != [plain(fingerprint)]:
        raise NodeError(
            f"{url} holds the key {', '.join(found)}, expected {plain(fingerprint)}. Nothing was written: "
            "somebody may be offering packages in another's name, or the key was changed (then give "
            "its fingerprint)."
        )
    return text
