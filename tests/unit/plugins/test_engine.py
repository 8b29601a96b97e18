import base64
import json

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import engine
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError


class Recorded:
    """Answers commands from a table and remembers them."""

    def __init__(self, answers):
        self.answers = answers
        self.commands = []

    def __call__(self, command, **options):
        self.commands.append(command)
        return self.answers[command[1]]


@pytest.fixture
def make(monkeypatch):
    def call(name, answers, installed=True):
        monkeypatch.setattr(
            engine.shutil, "which", lambda *_, **__: f"/usr/bin/{name}" if installed else None
        )
        run = Recorded(answers)
        return engine.Engine(name, run), run

    return call


INSPECTED = json.dumps(
    [
        {"Name": "/nim-r1-0-0", "State": {"Running": True}, "Config": {"Labels": {"nimctl.spec": "abc"}}},
        {"Name": "other", "State": {"Running": False}, "Config": {"Labels": None}},
    ]
)


def test_containers_of_docker_and_podman_look_the_same(make):
    found, run = make("docker", {"ps": (0, "id1\nid2\n", ""), "inspect": (0, INSPECTED, "")})
    assert found.containers("nimctl.cluster=prod") == [
        {"name": "nim-r1-0-0", "running": True, "labels": {"nimctl.spec": "abc"}},
        {"name": "other", "running": False, "labels": {}},
    ]
    assert "label=nimctl.cluster=prod" in run.commands[0]


def test_an_engine_that_is_missing_has_no_containers(make):
    assert make("podman", {}, installed=False)[0].containers() == []


@pytest.mark.parametrize(
    "said",
    [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        # Docker 29.
        "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct",
    ],
)
def test_a_daemon_that_is_down_has_no_containers(make, said):
    assert make("docker", {"ps": (1, "", said)})[0].containers() == []


def test_an_engine_that_fails_is_an_error(make):
    with pytest.raises(NodeError, match="database is locked"):
        make("podman", {"ps": (125, "", "Error: database is locked")})[0].containers()


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_the_password_is_on_no_command_line(make, name, tmp_path):
    found, run = make(name, {"pull": (0, "", ""), "--config": (0, "", "")})
    found.pull("reg:5000/x@sha256:1", tmp_path)
    assert str(tmp_path) in " ".join(run.commands[0])
    assert "secret" not in " ".join(run.commands[0])


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("nvcr.io/nim/x:1", "nvcr.io"),
        ("10.0.0.1:5000/x@sha256:0", "10.0.0.1:5000"),
        ("localhost/x", "localhost"),
        ("vllm/vllm-openai:v1", "docker.io"),
        ("debian", "docker.io"),
    ],
)
def test_the_registry_of_an_image(image, registry):
    assert engine.registry_of(image) == registry


def test_a_login_is_for_its_registry_alone():
    logins = [{"host": "nvcr.io"}, {"host": "reg:5000"}]
    assert engine.login_for("reg:5000/a", logins) == {"host": "reg:5000"}
    assert engine.login_for("quay.io/a", logins) is None


def test_the_file_of_a_login():
    text = engine.auth_file({"host": "nvcr.io", "username": "$oauthtoken", "password": "secret"})
    assert base64.b64decode(json.loads(text)["auths"]["nvcr.io"]["auth"]) == b"$oauthtoken:secret"
    hub = engine.auth_file({"host": "docker.io", "username": "u", "password": "p"})
    assert list(json.loads(hub)["auths"]) == ["https://index.docker.io/v1/"]


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("Error response from daemon: unauthorized: authentication required", "refuses the login"),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "not trusted"),
        ("http: server gave HTTP response to HTTPS client", "plain HTTP"),
        ("manifest unknown: manifest unknown", "no such image"),
        ("write /var/lib/x: no space left on device", "disk is full"),
        ("dial tcp: lookup nvcr.io: no such host", "does not reach"),
        ("something else", "by hand"),
    ],
)
def test_every_failed_pull_has_a_hint(said, hint):
    assert hint in engine.pull_hint(said)
