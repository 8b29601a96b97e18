"""Ask a registry which digest a tag has, over the OCI distribution API."""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from nimctl.cluster import Cluster
from nimctl.description.document import Registry
from nimctl.errors import NimctlError
from nimctl.image import ImageReference, is_digest, parse
from nimctl.secrets import Vault, read_secret

# Lists of manifests first: a node then picks its own architecture from the digest that is locked.
ACCEPT = ", ".join(
    [
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
)
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
MAX_MANIFEST = 8 * 1024 * 1024
_DOCKER_HUB = "registry-1.docker.io"


class RegistryError(NimctlError):
    """A digest could not be found out; the message says which registry, why, and what to do."""


@dataclass(frozen=True, slots=True)
class Access:
    """How one registry is reached: ``password`` is asked for only when the registry wants a login."""

    host: str
    mirrors: Sequence[str] = ()
    ca: Path | None = None
    insecure: bool = False
    username: str = ""
    password: Callable[[], str] | None = None


def access(cluster: Cluster, image: str, vault: Vault | None = None) -> Access:
    """How the registry of an image is reached, as the description says; ``vault`` as for ``read_secret``."""
    reference = parse(image)
    described = next(
        (r for r in cluster.stack.container_engine.registries if r.host == reference.registry), None
    ) or Registry(host=reference.registry)
    secret = described.password
    if secret is None and reference.registry == "nvcr.io" and "ngc_api_key" in cluster.secrets:
        secret = "ngc_api_key"  # noqa: S105 - the name of an entry, not a value
    folder = cluster.file.parent if cluster.file else Path.cwd()
    name = secret
    return Access(
        described.host,
        tuple(described.mirrors),
        folder / Path(described.ca).expanduser() if described.ca else None,
        described.insecure,
        described.username,
        (lambda: read_secret(cluster, name, f"looking up {image}", vault)) if name is not None else None,
    )


def digest(image: str, how: Access, transport: httpx.BaseTransport | None = None) -> str:
    """The digest that an image's tag has now; raises RegistryError.

    Mirrors are asked first, as the nodes will; ``transport`` is for tests.
    """
    reference = parse(image)
    if reference.digest:
        return reference.digest
    failures = []
    for base, way in bases(how):
        try:
            return _ask(base, reference, way, transport)
        except httpx.HTTPError as error:
            failures.append(f"{base}: {reason(error, how)}")
        except AnswerError as error:
            failures.append(f"{base}: {error}")
    raise RegistryError(
        f"{image}: its digest could not be looked up.\n  " + "\n  ".join(failures) + "\n"
        "A controller without access to the registry can be told: nimctl lock -i DIR --image "
        f"{image}=sha256:... , or write the digest into cluster.yml."
    )


class AnswerError(Exception):
    """One registry answered, but not with what it was asked for."""


def bases(how: Access) -> list[tuple[str, Access]]:
    """Where to ask, in order: mirrors first, as the nodes will; each with the login that is for it."""
    # A mirror is somebody else: the registry's password is not for it.
    hosts = [(mirror, replace(how, password=None)) for mirror in how.mirrors]
    hosts.append((_DOCKER_HUB if how.host == "docker.io" else how.host, how))
    schemes = ("https", "http") if how.insecure else ("https",)
    return [(f"{scheme}://{host}", way) for host, way in hosts for scheme in schemes]


def open_client(how: Access, transport: httpx.BaseTransport | None = None) -> httpx.Client:
    """A client that trusts the registry as the description says; ``transport`` is for tests."""
    return httpx.Client(verify=verification(how), timeout=TIMEOUT, transport=transport, follow_redirects=True)


def _ask(base: str, reference: ImageReference, how: Access, transport: httpx.BaseTransport | None) -> str:
    url = f"{base}/v2/{reference.repository}/manifests/{reference.tag or 'latest'}"
    headers = {"Accept": ACCEPT}
    with open_client(how, transport) as client:
        answer = client.head(url, headers=headers)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            headers["Authorization"] = authorization(client, answer, reference, how)
            answer = client.head(url, headers=headers)
        found = answer.headers.get("Docker-Content-Digest", "")
        if answer.is_success and is_digest(found):
            return str(found)
        if answer.is_success or answer.status_code == httpx.codes.METHOD_NOT_ALLOWED:
            # The header is optional; the digest is that of the manifest's bytes.
            return _digest_of_content(client, url, headers)
        raise AnswerError(meaning(answer.status_code, reference, how))


def _digest_of_content(client: httpx.Client, url: str, headers: dict[str, str]) -> str:
    checksum = hashlib.sha256()
    size = 0
    with client.stream("GET", url, headers=headers) as answer:
        if not answer.is_success:
            raise AnswerError(f"answered {answer.status_code} for the manifest")
        for chunk in answer.iter_bytes():
            size += len(chunk)
            if size > MAX_MANIFEST:
                raise AnswerError("sent a manifest of more than 8 MiB")
            checksum.update(chunk)
    return f"sha256:{checksum.hexdigest()}"


def authorization(
    client: httpx.Client, answer: httpx.Response, reference: ImageReference, how: Access
) -> str:
    """The header that a registry's challenge asks for: basic, or a token from where it says.

    Raises AnswerError, httpx.HTTPError.
    """
    challenge = answer.headers.get("WWW-Authenticate", "")
    scheme, _, rest = challenge.partition(" ")
    login = httpx.BasicAuth(how.username, how.password()) if how.password else None
    if scheme.lower() == "basic":
        if login is None:
            raise AnswerError(
                "wants a login; name it in cluster.yml: stack.container_engine.registries: "
                f"[{{host: {how.host}, username: ..., password: NAME_UNDER_SECRETS}}]"
            )
        request = next(login.auth_flow(httpx.Request("GET", answer.url)))
        return str(request.headers["Authorization"])
    if scheme.lower() != "bearer":
        raise AnswerError(f"wants a login of an unknown kind ({scheme or 'none named'})")
    parameters = dict(re.findall(r'([a-z]+)="([^"]*)"', rest))
    realm = httpx.URL(parameters.pop("realm", ""))
    if realm.scheme not in ("https", "http") or (realm.scheme == "http" and not how.insecure):
        # The password would go there: never in clear text to wherever an answer points.
        raise AnswerError(f"sends logins to {realm or 'nowhere'}, which is not https")
    parameters.setdefault("scope", f"repository:{reference.repository}:pull")
    token = client.get(realm, params=parameters, auth=login)
    if not token.is_success:
        raise AnswerError(meaning(token.status_code, reference, how))
    try:
        body = token.json()
        return f"Bearer {body.get('token') or body['access_token']}"
    except (ValueError, KeyError, AttributeError) as error:
        raise AnswerError("sent no token") from error


def verification(how: Access) -> ssl.SSLContext | bool:
    """How the registry's certificate is verified, as httpx takes it. Raises RegistryError."""
    if how.insecure:
        return False
    if how.ca is None:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cafile=str(how.ca))
    except (OSError, ssl.SSLError) as error:
        raise RegistryError(f"{how.ca}: cannot be used as certificate authority: {error}") from error


def meaning(status: int, reference: ImageReference, how: Access) -> str:
    """What a status means for somebody who wants an image."""
    if status in (401, 403):
        who = f"the login {how.username}" if how.password else "a visitor without login"
        return f"does not let {who} read {reference.repository} ({status}); is the key right, and may it?"
    if status == httpx.codes.NOT_FOUND:
        return f"has no {reference.repository}:{reference.tag} (404); is the name right?"
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return "has had too many requests (429); try again later, or with a login"
    return f"answered {status}"


def reason(error: httpx.HTTPError, how: Access) -> str:
    """Why a registry could not be asked."""
    text = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        hint = (
            "name its authority with stack.container_engine.registries[].ca"
            if how.ca is None
            else f"not by {how.ca}"
        )
        return f"its certificate cannot be verified; {hint}"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return f"cannot be reached ({text})"
    return text
