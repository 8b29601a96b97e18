"""``nimctl render`` as its users call it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from called import Called, call
from renderings import INVENTORIES, WORKED, description

Nimctl = Callable[..., Called]


@pytest.fixture
def nimctl(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Nimctl:
    """Call ``nimctl render``."""
    return lambda *arguments: call(capsys, monkeypatch, "render", *arguments)


def test_files_are_written_compared_and_removed(nimctl: Nimctl, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = nimctl("k8s", "-i", INVENTORIES / "prod", "--output", out)
    assert first.returncode == 0, first.stderr
    assert (out / "r1" / "leaderworkerset.yaml").exists()
    again = nimctl("k8s", "-i", INVENTORIES / "prod", "--output", out)
    assert "9 files, 0 written" in again.stdout
    assert nimctl("k8s", "-i", INVENTORIES / "prod", "--output", out, "--check").returncode == 0

    service = out / "r1" / "service.yaml"
    service.write_text(service.read_text() + "# edited\n")
    (out / "r1" / "networkpolicy-r1-api.yaml").unlink()
    (out / "old").mkdir()
    (out / "old" / "service.yaml").write_text("# Rendered by nimctl from the description of cluster prod\n")
    (out / "mine.yaml").write_text("kind: Namespace\n")
    found = nimctl("k8s", "-i", INVENTORIES / "prod", "--output", out, "--check")
    assert found.returncode == 1
    assert found.stdout.splitlines() == [
        "missing  r1/networkpolicy-r1-api.yaml",
        "differs  r1/service.yaml",
        "stale    old/service.yaml",
    ]
    assert nimctl("k8s", "-i", INVENTORIES / "prod", "--output", out).returncode == 0
    assert not (out / "old").exists()
    assert (out / "mine.yaml").read_text() == "kind: Namespace\n"
    assert nimctl("k8s", "-i", INVENTORIES / "prod", "--output", out, "--check").returncode == 0


def test_a_file_of_somebody_else_is_not_overwritten(nimctl: Nimctl, tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [mine.yaml]\n")
    found = nimctl("k8s", "-i", INVENTORIES / "prod", "--output", tmp_path)
    assert found.returncode == 2
    assert "kustomization.yaml was not written by nimctl" in found.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["kustomization.yaml"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nomad"], "nomad cannot be rendered; expected k8s, slurm, compose, docker"),
        (["k8s", "--flavor", "helm"], "--flavor helm is not known"),
        (["docker", "--flavor", "nimservice"], "is for k8s alone"),
        (["docker", "--check"], "--output DIR"),
        (["docker", "--format", "yaml"], "expected text or json"),
    ],
)
def test_what_is_not_known_is_refused(nimctl: Nimctl, arguments: list[str], told: str) -> None:
    found = nimctl(*arguments, "-i", INVENTORIES / "prod")
    assert (found.returncode, found.stdout) == (2, "")
    assert told in " ".join(found.stderr.split())


def test_stdout_is_what_kubectl_takes(nimctl: Nimctl, tmp_path: Path) -> None:
    found = nimctl("k8s", "-i", INVENTORIES / "prod")
    kinds = [each["kind"] for each in yaml.safe_load_all(found.stdout)]
    assert "Kustomization" not in kinds
    assert {"LeaderWorkerSet", "Service", "PersistentVolumeClaim", "NetworkPolicy"} <= set(kinds)
    assert "secret nvcr-io-pull in namespace prod" in found.stderr


def test_json_has_every_file(nimctl: Nimctl) -> None:
    found = json.loads(nimctl("slurm", "-i", INVENTORIES / "prod-lustre-405b", "--format", "json").stdout)
    assert found["target"] == "slurm"
    assert list(found["files"]) == ["llama-405b-0.sbatch", "llama-405b-1.sbatch"]


@pytest.mark.parametrize("inventory", WORKED)
def test_no_target_holds_a_secret(nimctl: Nimctl, inventory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NGC_API_KEY", "nvapi-very-secret")
    for target in ("k8s", "docker"):
        found = nimctl(target, "-i", INVENTORIES / inventory)
        assert found.returncode == 0, found.stderr
        assert "very-secret" not in found.stdout + found.stderr


def test_what_no_run_would_start_is_not_rendered(nimctl: Nimctl, tmp_path: Path) -> None:
    text = description("nim1-env").replace("contract: nim1-env", "contract: article")
    (tmp_path / "cluster.yml").write_text(text)
    found = nimctl("docker", "-i", tmp_path)
    assert found.returncode == 2
    assert "contract: nim1-env" in found.stderr
