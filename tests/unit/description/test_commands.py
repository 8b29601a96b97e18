"""The two verbs that a newcomer meets first: ``nimctl init`` and ``nimctl validate``."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import typer

from nimctl.cli import init, validate
from nimctl.cli.app import messages
from nimctl.description.first import cluster_name, deployment_name, scalar
from nimctl.errors import NimctlError
from nimctl.inventory import read

PLACE = re.compile(r"cluster\.yml:[1-9][0-9]*:[1-9][0-9]*: \S")
HOSTS = ("--hosts", "gpu[01-02]", "--gpu", "h100-sxm")


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def nimctl(capfd) -> Callable[..., Done]:
    """Runs one of the two verbs as the command does: errors become messages on stderr and exit codes."""
    app = typer.Typer()
    init.register(app)
    validate.register(app)

    def call(*arguments: str) -> Done:
        capfd.readouterr()
        try:
            code = app(arguments, standalone_mode=False) or 0
        except NimctlError as error:
            messages.print(str(error), markup=False, soft_wrap=True)
            code = error.exit_code
        return Done(code, *capfd.readouterr())

    return call


def test_validate_prints_every_problem_with_its_place_and_exits_2(nimctl, written, sound):
    folder = written(sound.replace("kind: nfs", "kind: nsf").replace("count: 8", "count: 80"))
    done = nimctl("validate", "-i", str(folder))
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(PLACE.match(line) for line in lines), lines
    assert "2 problems; no host was contacted" in done.stderr


def test_the_command_itself_exits_2_without_a_traceback(written):
    done = subprocess.run(
        [sys.executable, "-m", "nimctl", "validate", "-i", str(written("name: x\n"))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert PLACE.match(done.stdout)
    assert "Traceback" not in done.stdout + done.stderr


def test_validate_as_json(nimctl, written, sound):
    folder = written(sound.replace("kind: nfs", "kind: nsf"))
    done = nimctl("validate", "-i", str(folder), "--format", "json")
    assert done.returncode == 2
    answer = json.loads(done.stdout)
    assert answer["valid"] is False
    assert answer["problems"] == [
        {
            "file": str(folder / "cluster.yml"),
            "line": 12,
            "column": 12,
            "field": ["storage", 0, "kind"],
            "message": 'found the text "nsf", expected nfs, lustre, existing or local; did you mean nfs?',
        }
    ]


def test_validate_sums_up_what_holds(nimctl, written, sound):
    folder = written(sound.replace("    args: [--quiet]\n", "").replace("    contract: nim1-env\n", ""))
    done = nimctl("validate", "-i", str(folder))
    assert done.returncode == 0
    first, second = done.stdout.splitlines()
    assert first == "test: 3 nodes, 16 GPUs, 1 deployment"
    assert second.startswith("  r1: deepseek-ai/deepseek-r1, engine nim, contract nim1-env (inferred); ")
    assert second.endswith("; 1 replica, 2 ranks, 16 GPUs")
    assert "inferred from the tag" in done.stderr
    assert "has no digest yet" in done.stderr
    answer = json.loads(nimctl("validate", "-i", str(folder), "--format", "json").stdout)
    assert answer["valid"] is True
    assert answer["gpus"] == 16
    assert answer["deployments"][0]["endpoints"] == ["http://10.0.0.1:8000/v1"]
    assert len([note for note in answer["notes"] if not note.startswith("stack: ")]) == 2


def test_validate_needs_no_secret_to_be_set(nimctl, written, sound, monkeypatch):
    monkeypatch.delenv("NGC_API_KEY", raising=False)
    folder = written(sound.replace("    args: [--quiet]\n", ""))
    assert nimctl("validate", "-i", str(folder)).returncode == 0


@pytest.mark.parametrize(
    "flags",
    [
        (*HOSTS, "--engine", "nim", "--model", "deepseek-ai/deepseek-r1"),
        (*HOSTS, "--engine", "nim", "--model", "Meta/Llama-3.1-405B-Instruct", "--weights", "/models/l"),
        (*HOSTS, "--engine", "vllm", "--model", "meta-llama/Llama-3.3-70B-Instruct", "--replicas", "2"),
        (*HOSTS, "--engine", "sglang", "--model", "a/b", "--addresses", "fd00::[1-2]", "--port", "9000"),
        (
            *HOSTS,
            "--engine",
            "vllm",
            "--model",
            "a/b",
            "--fabric",
            "roce",
            "--rate",
            "400g",
            "--interface",
            "eth2",
            "--fabric-addresses",
            "10.1.0.[1-2]",
            "--user",
            "ops",
            "--key",
            "key",
        ),
        (
            "--hosts",
            "10.0.0.[1-2]",
            "--engine",
            "vllm",
            "--model",
            "8b",
            "--name",
            "mine",
            "--deployment",
            "small",
        ),
        ("--hosts", "node1", "--engine", "rehearsal", "--model", "a/1", "--image", "r:5000/rehearsal:1"),
        ("--hosts", "yes,no", "--engine", "vllm", "--model", "1.5"),
    ],
)
def test_init_writes_a_description_that_holds(nimctl, tmp_path, flags):
    folder = tmp_path / "Prod_1"
    done = nimctl("init", "--inventory", str(folder), *flags)
    assert done.returncode == 0, done.stderr
    placement = read(folder)
    assert placement.ranks
    assert placement.cluster.name in ("prod-1", "mine")
    text = (folder / "cluster.yml").read_text()
    assert sum(line.lstrip().startswith("#") for line in text.splitlines()) >= 6
    assert f"nimctl provision -i {folder}" in done.stderr
    assert list(folder.iterdir()) == [folder / "cluster.yml"]


def test_init_says_which_image_it_chose(nimctl, tmp_path):
    done = nimctl("init", "--inventory", str(tmp_path), *HOSTS, "--engine", "vllm", "--model", "a/b")
    assert "image: docker.io/vllm/vllm-openai:latest is only one to begin with" in done.stderr
    given = nimctl(
        "init", "-i", str(tmp_path / "b"), *HOSTS, "--engine", "vllm", "--model", "a/b", "--image", "r:1/v:2"
    )
    assert "to begin with" not in given.stderr + (tmp_path / "b" / "cluster.yml").read_text()


def test_init_never_overwrites_without_force(nimctl, tmp_path):
    (tmp_path / "cluster.yml").write_text("mine\n")
    arguments = ("init", "--inventory", str(tmp_path), *HOSTS, "--engine", "vllm", "--model", "a/b")
    done = nimctl(*arguments)
    assert done.returncode == 2
    assert "--force replaces it" in done.stderr
    assert (tmp_path / "cluster.yml").read_text() == "mine\n"
    assert nimctl(*arguments, "--force").returncode == 0
    assert read(tmp_path).ranks


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--engine", "vllm", "--model", "m"), "--hosts must be given"),
        ((*HOSTS, "--model", "m"), "--engine must be given"),
        ((*HOSTS, "--engine", "vlm", "--model", "m"), "did you mean vllm?"),
        (("--hosts", "n[1-", "--engine", "vllm", "--model", "m"), "--hosts n[1-: expected a node set"),
        (
            ("--hosts", "n1", "--engine", "vllm", "--model", "m", "--gpu", "h100"),
            '--gpu: found the unknown GPU model "h100"',
        ),
        (
            (*HOSTS, "--engine", "vllm", "--model", "m", "--addresses", "10.0.0.1"),
            "--addresses: found 1 address for 2 hosts",
        ),
        ((*HOSTS, "--engine", "vllm", "--model", "m", "--port", "0"), "--port: found the number 0"),
        (
            (*HOSTS, "--engine", "vllm", "--model", "m", "--fabric", "ib", "--rate", "ndr"),
            "--fabric: found the text",
        ),
        ((*HOSTS, "--engine", "vllm", "--model", "m x"), "--model: found the text"),
        ((*HOSTS, "--engine", "vllm", "--model", "m", "--image", "A:1"), "--image: found the text"),
        ((*HOSTS, "--engine", "vllm", "--model", "m", "--name", "A"), "--name: found the text"),
        (("--hosts", "n1", "--engine", "nim", "--model", "m"), "--gpu and --gpus-per-node are needed"),
        (
            ("--hosts", "n1", "--engine", "rehearsal", "--model", "m"),
            "--image is needed with --engine rehearsal",
        ),
        ((*HOSTS, "--engine", "vllm", "--model", "m", "--user", "{{ x }}"), "--user: found `{{`"),
        ((*HOSTS, "--engine", "vllm", "--model", "m", "--user", 'a"\nb: c'), "--user: found a line break"),
    ],
)
def test_init_names_the_flag_that_is_wrong_and_writes_nothing(nimctl, tmp_path, flags, said):
    done = nimctl("init", "--inventory", str(tmp_path / "x"), *flags)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "x").exists()


def test_init_asks_on_a_terminal(tmp_path):
    """Questions come one by one, a wrong answer is asked again, and defaults hold."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "nimctl", "init", "--inventory", str(tmp_path / "lab")],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        close_fds=True,
        env={**os.environ, "TERM": "dumb", "COLUMNS": "200"},
    )
    os.close(terminal)
    os.write(controller, b"n[1-\nn[1-2]\nvllm\norg/model\n4\nl40s\n10.0.0.[1-2]\nops\n")
    said = b""
    while True:
        try:
            piece = os.read(controller, 4096)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(controller)
    assert process.wait(60) == 0, said.decode()
    assert b"not a node set such as gpu[01-02]" in said
    cluster = read(tmp_path / "lab").cluster
    assert [(node.name, node.address, node.gpu_count) for node in cluster.nodes] == [
        ("n1", "10.0.0.1", 4),
        ("n2", "10.0.0.2", 4),
    ]
    assert cluster.connection.user == "ops"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("deepseek-ai/DeepSeek-R1", "deepseek-r1"),
        ("meta/llama-3.1-405b-instruct", "llama-3-1-405b-instruct"),
        ("/models/r1/", "r1"),
        ("org/70B_x", "model-70b-x"),
        ("a/" + "b" * 80, "b" * 40),
        ("a/___", "model"),
    ],
)
def test_names_of_deployments_come_from_models(model, name):
    assert deployment_name(model) == name


def test_names_of_clusters_come_from_folders():
    assert cluster_name("Prod_1") == "prod-1"
    assert cluster_name("2024") == "cluster"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("gpu01", "gpu01"),
        ("10.0.0.1", "10.0.0.1"),
        ("yes", '"yes"'),
        ("1.5", '"1.5"'),
        ("fd00::1", '"fd00::1"'),
        ("a:1", "a:1"),
        ("a: b", '"a: b"'),
        ("gpu[1-2]", '"gpu[1-2]"'),
        ("", '""'),
        ("null", '"null"'),
    ],
)
def test_texts_stay_texts_in_yaml(text, written):
    assert scalar(text) == written


def init_nim(nimctl, folder, *flags, model="Meta/foo"):
    return nimctl("init", "-i", str(folder), *HOSTS, "--engine", "nim", "--model", model, *flags)


@pytest.mark.parametrize("flags", [(), ("--image", "nvcr.io/nim/meta/foo:latest")])
def test_init_does_not_state_a_guessed_contract_as_fact(nimctl, tmp_path, flags):
    done = init_nim(nimctl, tmp_path / "x", *flags)
    assert done.returncode == 0, done.stderr
    assert "contract: nim2-ray is a guess" in done.stderr
    text = (tmp_path / "x" / "cluster.yml").read_text()
    assert "a guess, because the tag does not say it" in text
    assert "# nimctl contracts verify nvcr.io/nim/meta/foo:latest" in text


def test_init_guesses_no_contract_where_the_tag_says_it(nimctl, tmp_path):
    done = init_nim(nimctl, tmp_path / "x", model="deepseek-ai/deepseek-r1")
    assert "is a guess" not in done.stderr
    assert "guess" not in (tmp_path / "x" / "cluster.yml").read_text()


def test_commands_of_init_can_be_pasted_also_for_a_folder_with_a_space(nimctl, tmp_path):
    done = init_nim(nimctl, tmp_path / "a b")
    assert f"nimctl provision -i '{tmp_path}/a b'" in done.stderr


def test_init_chooses_an_engine_that_knows_gpus_on_every_distribution(nimctl, tmp_path):
    init_nim(nimctl, tmp_path / "gpus")
    assert read(tmp_path / "gpus").cluster.stack.container_engine.source == "docker"
    nimctl("init", "-i", str(tmp_path / "bare"), "--hosts", "a1", "--engine", "vllm", "--model", "m")
    assert read(tmp_path / "bare").cluster.stack.container_engine.source == "distribution"


def test_validate_remarks_on_files_that_are_not_there(nimctl, written, sound):
    text = sound.replace("    args: [--quiet]\n", "").replace(
        "name: test\n",
        "name: test\nconnection: {key: keys/id}\n"
        "stack: {container_engine: {registries: [{host: 'r:5000', ca: keys/ca.pem}]}}\n",
    )
    folder = written(text)
    done = nimctl("validate", "-i", str(folder))
    assert done.returncode == 0
    assert f"connection.key: there is no file {folder}/keys/id on this machine" in done.stderr
    assert f"the ca of registry r:5000: there is no file {folder}/keys/ca.pem" in done.stderr
    (folder / "keys").mkdir()
    for name in ("id", "ca.pem"):
        (folder / "keys" / name).touch()
    assert "there is no file" not in nimctl("validate", "-i", str(folder)).stderr


def test_a_problem_of_a_contract_names_its_folder(nimctl, written, sound):
    folder = written(sound)
    (folder / "contracts").mkdir()
    (folder / "contracts" / "mine.yml").write_text("id: mine\n")
    done = nimctl("validate", "-i", str(folder))
    assert done.returncode == 2
    assert all(line.startswith("contracts/mine.yml:1:1: ") for line in done.stdout.splitlines()), done.stdout
