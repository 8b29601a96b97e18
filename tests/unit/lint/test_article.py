"""The article's own blocks: every fault by its rule and on its line, and no error once it is fixed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from nimctl.lint.check import Text, check, recognise
from nimctl.lint.fixes import fix

FIXTURES = Path(__file__).parents[2] / "fixtures"
ARTICLE = Path(__file__).parents[4] / "shared" / "reference" / "article.txt"


@dataclass(frozen=True)
class Block:
    """A block of the article: where it begins and ends in an excerpt, as whole lines, both inclusive."""

    excerpt: str
    first: str
    last: str

    def text(self) -> str:
        lines = (FIXTURES / self.excerpt).read_text(encoding="utf-8").splitlines(keepends=True)
        start = next(n for n, line in enumerate(lines) if line.startswith(self.first))
        end = max(n for n, line in enumerate(lines) if line.strip() == self.last)
        return "".join(lines[start : end + 1])


MANIFEST = Block("article-kubernetes.txt", "apiVersion: leaderworkerset", "name: http")
LEADER = Block(
    "article-docker.txt", "docker run -d --name nim-node0", "nvcr.io/nim/deepseek-ai/deepseek-r1:1.7.3"
)
NCCL = Block(
    "article-nccl.txt", "# Essential", "export NCCL_DEBUG=INFO             # Debug logging (remove in prod)"
)
FP8 = Block("article-fp8.txt", "# NIM with FP8", "nvcr.io/nim/meta/llama-3.1-405b-instruct:latest")


def known(block: Block, name: str) -> Text:
    found = recognise(name, block.text())
    assert found is not None
    return found


def commands_only(block: Block) -> Text:
    """The docker commands without the prose between them; comments keep the lines where they are."""
    lines = [
        f"# {line}" if line.startswith(("Node", "The API")) else line
        for line in block.text().splitlines(keepends=True)
    ]
    found = recognise("run.sh", "".join(lines))
    assert found is not None
    return found


MANIFEST_FAULTS = [
    # 3.1 (1): the workers' leader address
    ("leader-address-empty", 92),
    # (2) variables that nobody reads, and those that are missing
    *[("nim-unread-variable", line) for line in (32, 36, 40, 88, 92, 97)],
    *[("nim-missing-variable", line) for line in (18, 74)],
    *[("nim-missing-setting", line) for line in (18, 74)],
    # (3), (4) rank and size written down
    ("rank-hard-coded", 90),
    *[("group-size-hard-coded", line) for line in (32, 88)],
    # (5), (6) model and cache
    *[("nim-model-name", line) for line in (26, 82)],
    *[("nim-cache-not-mounted", line) for line in (50, 104)],
    *[("mount-unused", line) for line in (50, 104)],
    # (7), (8) pulling and scheduling
    *[("pull-secret-missing", line) for line in (16, 72)],
    ("tolerations-differ", 72),
    # (9) probes
    ("readiness-probe-missing", 18),
    ("startup-probe-missing", 18),
    # (10), (11) RDMA and user
    *[("rdma-missing", line) for line in (18, 74)],
    *[("security-context-missing", line) for line in (16, 72)],
    # (12) to (14)
    ("claim-unseen", 56),
    *[("requests-missing", line) for line in (42, 99)],
    ("topology-missing", 1),
    ("disruption-budget-missing", 1),
    *[("grace-period-missing", line) for line in (16, 72)],
    # (15), (16)
    ("service-selector-loose", 124),
    ("leader-address-pod-ip", 36),
]

ONE_COMMAND = {
    # 3.2 (1), (8): reported at the command
    "nim-missing-variable": 1,
    "nim-missing-setting": 1,
    "rdma-missing": 1,
    "cache-owner": 1,
    "image-not-pulled": 1,
    "log-unlimited": 1,
    # (10)
    "ipc-host": 4,
    # (2), (6), (1), (9), (5)
    "nim-cache-not-mounted": 6,
    "mount-unused": 6,
    "secret-in-arguments": 7,
    "nim-model-name": 8,
    "nccl-default": 15,
    "gloo-interface-missing": 16,
    "nccl-interface-prefix": 16,
}
WORKER = 21
"""How many lines further down the worker's command begins."""

DOCKER_FAULTS = [
    *ONE_COMMAND.items(),
    *[("nim-unread-variable", line) for line in (12, 13, 14)],
    ("readiness-not-awaited", 1),
    # (3)
    ("published-port-ignored", 17),
    *[(rule, line + WORKER) for rule, line in ONE_COMMAND.items()],
    *[("nim-unread-variable", line + WORKER) for line in (12, 13, 14)],
]
NCCL_FAULTS = [
    ("nccl-default", 2),
    ("nccl-interface-prefix", 3),
    ("nccl-hca-prefix", 4),
    ("nccl-gid-index", 5),
    ("nccl-gdr-level", 6),
    ("nccl-debug", 7),
]
FP8_FAULTS = [
    ("nim-cache-not-mounted", 2),
    ("nim-key-missing", 2),
    ("port-missing", 2),
    ("shm-missing", 2),
    ("image-not-pulled", 2),
    ("log-unlimited", 2),
    ("readiness-not-awaited", 2),
    ("nim-model-name", 3),
    ("nim-unread-variable", 4),
    ("image-floating-tag", 6),
]
BLOCKS = {
    "manifest": (known(MANIFEST, "lws.yaml"), MANIFEST_FAULTS),
    "docker": (commands_only(LEADER), DOCKER_FAULTS),
    "nccl": (known(NCCL, "nccl.sh"), NCCL_FAULTS),
    "fp8": (known(FP8, "fp8.sh"), FP8_FAULTS),
}


@pytest.mark.skipif(not ARTICLE.is_file(), reason=f"the article is not at {ARTICLE}")
@pytest.mark.parametrize("block", [MANIFEST, LEADER, NCCL, FP8])
def test_excerpts_are_the_articles(block: Block) -> None:
    assert block.text() in ARTICLE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", BLOCKS)
def test_every_fault_on_its_line_and_no_other(name: str) -> None:
    text, faults = BLOCKS[name]
    assert sorted((each.rule, each.line) for each in check([text])) == sorted(faults)


@pytest.mark.parametrize("name", BLOCKS)
def test_fixed_files_have_no_error(name: str) -> None:
    (fixed,) = fix([BLOCKS[name][0]])
    assert [str(each) for each in check([fixed]) if each.severity == "error"] == []
    assert fix([fixed]) == [fixed]


def test_the_fixed_manifest_says_what_was_meant() -> None:
    (fixed,) = fix([BLOCKS["manifest"][0]])
    group, service = yaml.safe_load_all(fixed.text)
    template = group["spec"]["leaderWorkerTemplate"]
    for role, key in (("1", "leaderTemplate"), ("0", "workerTemplate")):
        spec = template[key]["spec"]
        environment = {each["name"]: each for each in spec["containers"][0]["env"]}
        assert environment["NIM_LEADER_ROLE"]["value"] == role
        assert environment["NIM_LEADER_IP_ADDRESS"]["value"] == "$(LWS_LEADER_ADDRESS)"
        assert environment["NIM_NUM_COMPUTE_NODES"]["value"] == "$(LWS_GROUP_SIZE)"
        assert spec["tolerations"] == [
            {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        ]
        assert spec["containers"][0]["volumeMounts"][0]["mountPath"] == "/opt/nim/.cache"
    rank = environment["NIM_NODE_RANK"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert rank == "metadata.labels['leaderworkerset.sigs.k8s.io/worker-index']"
    assert service["spec"]["selector"]["leaderworkerset.sigs.k8s.io/worker-index"] == "0"


@pytest.mark.parametrize("name", ["docker", "nccl", "fp8"])
def test_fixed_scripts_are_scripts(name: str) -> None:
    (fixed,) = fix([BLOCKS[name][0]])
    subprocess.run(["bash", "-n"], input=fixed.text, text=True, check=True)
    assert "your-ngc-key" not in fixed.text
    assert not any(
        line.rstrip().endswith("\\") and not line.strip(" \\\n") for line in fixed.text.splitlines()
    )
