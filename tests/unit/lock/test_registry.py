"""Finding the digest of a tag: logins, kinds of answers, and errors for people."""

from __future__ import annotations

import base64
import hashlib
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from nimctl.cluster import Cluster
from nimctl.description.document import Connection, ContainerEngine, Registry, SecretSource, Stack
from nimctl.registry import Access, RegistryError, access, digest

DIGEST = "sha256:" + "ab" * 32
LOGIN = "Basic " + base64.b64encode(b"$oauthtoken:key").decode()

Handler = Callable[[httpx.Request], httpx.Response]


def ask(handler: Handler, image: str = "nvcr.io/nim/a/b:1.2", **how: object) -> str:
    host = image.split("/")[0]
    return digest(image, Access(host, **how), httpx.MockTransport(handler))  # type: ignore[arg-type]


def answer(request: httpx.Request) -> httpx.Response:
    assert request.url == "https://nvcr.io/v2/nim/a/b/manifests/1.2"
    assert "image.index.v1+json" in request.headers["Accept"]
    return httpx.Response(200, headers={"Docker-Content-Digest": DIGEST})


def test_without_login() -> None:
    assert ask(answer) == DIGEST


def test_a_digest_is_its_own_answer() -> None:
    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError

    assert ask(never, f"nvcr.io/nim/a/b@{DIGEST}") == DIGEST


def test_basic_login() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.headers.get("Authorization") != LOGIN:
            return httpx.Response(401, headers={"WWW-Authenticate": 'Basic realm="lab"'})
        return answer(request)

    assert ask(handler, username="$oauthtoken", password=lambda: "key") == DIGEST
    with pytest.raises(RegistryError, match="password: NAME_UNDER_SECRETS"):
        ask(handler)
    with pytest.raises(RegistryError, match="is the key right"):
        ask(handler, username="$oauthtoken", password=lambda: "wrong")


@pytest.mark.parametrize("field", ["token", "access_token"])
def test_bearer_login(field: str) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.host == "auth.nvcr.io":
            assert request.url.params["scope"] == "repository:nim/a/b:pull"
            assert request.url.params["service"] == "registry"
            assert request.headers["Authorization"] == LOGIN
            return httpx.Response(200, json={field: "t1"})
        if request.headers.get("Authorization") != "Bearer t1":
            challenge = 'Bearer realm="https://auth.nvcr.io/t",service="registry"'
            return httpx.Response(401, headers={"WWW-Authenticate": challenge})
        return answer(request)

    assert ask(handler, username="$oauthtoken", password=lambda: "key") == DIGEST


def test_a_password_never_goes_out_in_clear() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url.host == "nvcr.io", "the password went elsewhere"
        return httpx.Response(401, headers={"WWW-Authenticate": 'Bearer realm="http://evil.example/t"'})

    with pytest.raises(RegistryError, match="not https"):
        ask(handler, username="u", password=lambda: "key")


def test_the_password_is_read_only_when_it_is_asked_for() -> None:
    def unread() -> str:
        raise AssertionError

    assert ask(answer, username="u", password=unread) == DIGEST


def test_a_registry_without_the_header() -> None:
    content = b'{"schemaVersion": 2}'

    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content if request.method == "GET" else b"")

    assert ask(handler) == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_mirrors_are_asked_first_and_without_the_password() -> None:
    asked: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if request.url.host == "mirror.example.com":
            assert "Authorization" not in request.headers
            return httpx.Response(401, headers={"WWW-Authenticate": "Basic realm=x"})
        return answer(request)

    assert ask(handler, mirrors=["mirror.example.com"], username="u", password=lambda: "key") == DIGEST
    assert asked == ["mirror.example.com", "nvcr.io"]


def test_insecure_registries_may_speak_http() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            raise httpx.ConnectError("no TLS here")
        return httpx.Response(200, headers={"Docker-Content-Digest": DIGEST})

    assert ask(handler, insecure=True) == DIGEST
    with pytest.raises(RegistryError, match="no TLS here"):
        ask(handler)


def test_docker_hub_lives_elsewhere() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.url == "https://registry-1.docker.io/v2/library/debian/manifests/latest"
        return httpx.Response(200, headers={"Docker-Content-Digest": DIGEST})

    assert digest("debian", Access("docker.io"), httpx.MockTransport(handler)) == DIGEST


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (404, "is the name right"),
        (403, "a visitor without login"),
        (429, "too many requests"),
        (500, "answered 500"),
    ],
)
def test_refusals_say_what_to_do(status: int, words: str) -> None:
    with pytest.raises(RegistryError) as caught:
        ask(lambda request: httpx.Response(status))
    assert words in str(caught.value)
    assert "nimctl lock -i DIR --image" in str(caught.value)


def test_no_answer() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    with pytest.raises(RegistryError, match="no answer in time"):
        ask(handler)


def cluster(folder: Path, *registries: Registry, **secrets: SecretSource) -> Cluster:
    stack = Stack(container_engine=ContainerEngine(registries=list(registries)))
    return Cluster("c", Connection(), stack, (), (), (), secrets, folder / "cluster.yml")


def test_access_as_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGC_API_KEY", "k1")
    monkeypatch.setenv("OTHER", "k2")
    keys = {"ngc_api_key": SecretSource(env="NGC_API_KEY"), "other": SecretSource(env="OTHER")}
    lab = Registry(host="r.lab:5000", ca=".lab/ca.crt", username="me", password="other")
    found = cluster(tmp_path, lab, **keys)
    how = access(found, "r.lab:5000/x:1")
    assert (how.host, how.ca, how.username) == ("r.lab:5000", tmp_path / ".lab/ca.crt", "me")
    assert how.password is not None
    assert how.password() == "k2"
    ngc = access(found, "nvcr.io/nim/x:1")
    assert ngc.username == "$oauthtoken"
    assert ngc.password is not None
    assert ngc.password() == "k1"
    assert access(found, "docker.io/x/y:1").password is None
    assert access(cluster(tmp_path), "nvcr.io/nim/x:1").password is None


@pytest.fixture
def https(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A registry on loopback with a certificate of its own authority."""
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=lab",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Docker-Content-Digest", DIGEST)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", certificate
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl for a certificate")
def test_certificate_authorities(https: tuple[str, Path], tmp_path: Path) -> None:
    host, certificate = https
    assert digest(f"{host}/x:1", Access(host, ca=certificate)) == DIGEST
    assert digest(f"{host}/x:1", Access(host, insecure=True)) == DIGEST
    with pytest.raises(RegistryError, match=r"registries\[\]\.ca"):
        digest(f"{host}/x:1", Access(host))
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    with pytest.raises(RegistryError, match="certificate authority"):
        digest(f"{host}/x:1", Access(host, ca=broken))
