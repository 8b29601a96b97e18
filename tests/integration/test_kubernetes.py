"""playbooks/kubernetes.yml with a stand-in for kubectl: what it is asked, and what answers lead to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

# `kustomize` joins the files, everything else is looked up in answers.json by the first words that match.
KUBECTL = """#!{python}
import json, pathlib, sys
folder = pathlib.Path("{folder}")
words = [word for word in sys.argv[1:]]
with open(folder / "calls.jsonl", "a") as calls:
    calls.write(json.dumps(words) + "\\n")
if words[0] == "kustomize":
    files = sorted(pathlib.Path(words[1]).rglob("*.yaml"))
    texts = [file.read_text() for file in files if file.name != "kustomization.yaml"]
    sys.stdout.write("---\\n".join(texts))
    sys.exit()
line = " ".join(words)
for part, (code, out) in json.loads((folder / "answers.json").read_text()).items():
    if part in line:
        sys.stdout.write(out)
        sys.exit(code)
sys.stderr.write("not expected: " + line)
sys.exit(64)
"""
GOOD = {
    "get customresourcedefinition": (0, "crd"),
    "get namespace": (0, "namespace/prod"),
    "get secret": (0, "secret/x"),
    "get pods": (0, "r1-0   0/1   Pending"),
    "wait": (0, "condition met"),
    "apply": (0, "service/r1 unchanged\nleaderworkerset.leaderworkerset.x-k8s.io/r1 configured\n"),
}


@dataclass
class Done:
    """How a run ended, what it said, and how kubectl was called."""

    code: int
    output: str
    calls: list[list[str]]

    def called(self, *words: str) -> list[list[str]]:
        return [call for call in self.calls if all(word in call for word in words)]


@pytest.fixture
def apply(tmp_path: Path) -> Callable[..., Done]:
    """Render the worked inventory, and run the playbook with these answers of kubectl."""
    rendered = tmp_path / "out"
    nimctl = [BIN / "nimctl", "render", "k8s", "-i", ROOT / "inventories" / "prod", "--output", rendered]
    subprocess.run(nimctl, check=True, capture_output=True)
    tool = tmp_path / "bin" / "kubectl"
    tool.parent.mkdir()
    tool.write_text(KUBECTL.format(python=sys.executable, folder=tmp_path))
    tool.chmod(0o755)

    def run(*options: str, folder: str | None = None, **answers: tuple[int, str]) -> Done:
        given = {key.replace("_", " "): value for key, value in answers.items()}
        (tmp_path / "answers.json").write_text(
            json.dumps({**given, **{k: v for k, v in GOOD.items() if k not in given}})
        )
        (tmp_path / "calls.jsonl").unlink(missing_ok=True)
        done = subprocess.run(
            [
                BIN / "ansible-playbook",
                "playbooks/kubernetes.yml",
                "-e",
                f"kubernetes_folder={rendered if folder is None else folder}",
                *options,
            ],
            cwd=ROOT,
            env={
                **os.environ,
                "PATH": f"{tool.parent}:{os.environ['PATH']}",
                "PWD": str(tmp_path),
                "ANSIBLE_NOCOLOR": "1",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        calls = tmp_path / "calls.jsonl"
        lines = calls.read_text().splitlines() if calls.exists() else []
        return Done(done.returncode, done.stdout + done.stderr, [json.loads(line) for line in lines])

    return run


def test_it_looks_applies_and_waits(apply: Callable[..., Done]) -> None:
    done = apply("-e", "kubernetes_context=rack7")
    assert done.code == 0, done.output
    assert "changed=1" in done.output
    verbs = [
        next(word for word in call if word in ("kustomize", "get", "apply", "wait")) for call in done.calls
    ]
    assert verbs == ["kustomize", "get", "get", "get", "apply", "wait"]
    assert all(call[:2] == ["--context", "rack7"] for call in done.calls if call[0] != "kustomize")
    assert done.called("secret", "nvcr-io-pull")
    (waited,) = done.called("wait")
    # The contract's 45 minutes, and ten for scheduling and pulling.
    assert "--timeout=3300s" in waited
    assert waited[-1] == "leaderworkersets.leaderworkerset.x-k8s.io/r1"


def test_nothing_changed_is_told_so(apply: Callable[..., Done]) -> None:
    done = apply(folder="out", apply=(0, "service/r1 unchanged\nleaderworkerset/r1 unchanged\n"))
    assert done.code == 0, done.output
    assert "changed=0" in done.output


def test_check_mode_asks_the_server_and_waits_for_nothing(apply: Callable[..., Done]) -> None:
    done = apply("--check", apply=(0, "leaderworkerset/r1 configured (server dry run)\n"))
    assert done.code == 0, done.output
    assert done.called("apply", "--dry-run=server")
    assert not done.called("wait")


def test_a_missing_namespace_is_made(apply: Callable[..., Done]) -> None:
    done = apply(get_namespace=(0, ""), create_namespace=(0, "created"))
    assert done.code == 0, done.output
    assert done.called("create", "namespace", "prod")


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"get_secret": (0, "")}, "Secret nvcr-io-pull is not in namespace prod"),
        (
            {"get_customresourcedefinition": (1, "")},
            "leaderworkersets.leaderworkerset.x-k8s.io is not defined",
        ),
    ],
)
def test_what_is_missing_is_told_before_anything_is_applied(
    apply: Callable[..., Done], answers: dict[str, tuple[int, str]], told: str
) -> None:
    done = apply(**answers)
    assert done.code == 2
    assert told in " ".join(done.output.split())
    assert not done.called("apply")


def test_a_replica_that_does_not_serve_fails_with_its_pods(apply: Callable[..., Done]) -> None:
    done = apply(wait=(1, ""))
    assert done.code == 2
    assert "r1-0   0/1   Pending" in done.output


def test_a_run_without_a_folder_says_what_to_do(apply: Callable[..., Done]) -> None:
    done = apply(folder="")
    assert done.code == 2
    assert "nimctl render k8s" in done.output
    assert done.calls == []
