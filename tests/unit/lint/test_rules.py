"""Rules that the article does not need, each on a file that has the fault and on one that has not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nimctl.lint.check import check, recognise
from nimctl.lint.fixes import fix
from nimctl.lint.model import RULES, Finding

IMAGE = "nvcr.io/nim/deepseek-ai/deepseek-r1:1.7.3"


def lint(text: str, name: str = "file.yaml") -> list[Finding]:
    known = recognise(name, text)
    assert known is not None
    return check([known])


def rules(text: str, name: str = "file.yaml") -> set[str]:
    return {each.rule for each in lint(text, name)}


def fixed(text: str, name: str = "file.yaml") -> str:
    known = recognise(name, text)
    assert known is not None
    return fix([known])[0].text


def group(leader: str = "", worker: str = "", size: int = 3, more: str = "", image: str = IMAGE) -> str:
    """A LeaderWorkerSet; ``leader`` and ``worker`` are lines of its containers, ``more`` of its spec."""

    def container(lines: str) -> str:
        return "".join(f"            {line}\n" for line in lines.splitlines())

    return (
        "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\nmetadata:\n  name: r1\nspec:\n"
        f"{more}"
        f"  leaderWorkerTemplate:\n    size: {size}\n"
        "    leaderTemplate:\n      metadata:\n        labels: {app: r1}\n      spec:\n        containers:\n"
        f"          - name: nim\n            image: {image}\n{container(leader)}"
        "    workerTemplate:\n      metadata:\n        labels: {app: r1}\n      spec:\n        containers:\n"
        f"          - name: nim\n            image: {image}\n{container(worker)}"
    )


def env(name: str, value: str) -> str:
    return f'env:\n  - name: {name}\n    value: "{value}"\n'


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        ("rank-wrong", group(worker=env("NIM_NODE_RANK", "0")), group(leader=env("NIM_NODE_RANK", "0"))),
        ("rank-wrong", group(leader=env("NIM_NODE_RANK", "1")), group()),
        ("rank-hard-coded", group(worker=env("NIM_NODE_RANK", "1")), group(leader=env("NIM_NODE_RANK", "0"))),
        (
            "group-size-wrong",
            group(leader=env("NIM_NUM_COMPUTE_NODES", "2")),
            group(leader=env("NIM_NUM_COMPUTE_NODES", "$(LWS_GROUP_SIZE)")),
        ),
        (
            "startup-policy-deadlock",
            group(more="  startupPolicy: LeaderReady\n"),
            group(more="  startupPolicy: LeaderCreated\n"),
        ),
        ("lws-variable-dropped", group(leader=env("LWS_LEADER_ADDRESS", "10.0.0.1")), group()),
        (
            "nim-unknown-variable",
            group(leader=env("NIM_TENSOR_PARALEL_SIZE", "8")),
            group(leader=env("NIM_LOG_LEVEL", "INFO")),
        ),
        (
            "secret-literal",
            group(leader=env("NGC_API_KEY", "nvapi-x")),
            group(leader=env("HF_TOKEN", "$HF_TOKEN")),
        ),
        (
            "rdma-without-ipc-lock",
            group(leader="resources:\n  limits:\n    rdma/rdma_shared_device_a: 1\n"),
            group(
                leader="resources:\n  limits:\n    rdma/rdma_shared_device_a: 1\n"
                "securityContext:\n  capabilities:\n    add: [IPC_LOCK]\n"
            ),
        ),
        (
            "nccl-rdma-off",
            group(leader=env("NCCL_NET", "Socket") + "resources:\n  limits:\n    rdma/hca: 1\n"),
            group(leader="resources:\n  limits:\n    rdma/hca: 1\n"),
        ),
        (
            "probe-too-short",
            group(
                leader="livenessProbe:\n  httpGet: {path: /v1/health/live, port: 8000}\n  "
                "initialDelaySeconds: 60\n"
            ),
            group(
                leader="startupProbe:\n  httpGet: {path: /v1/health/ready, port: 8000}\n  "
                "failureThreshold: 270\n"
                "livenessProbe:\n  httpGet: {path: /v1/health/live, port: 8000}\n"
            ),
        ),
        (
            "parallel-size-wrong",
            group(
                leader="args: [--tensor-parallel-size, '8', --pipeline-parallel-size, '2']\n"
                "resources:\n  limits:\n    nvidia.com/gpu: 8\n",
                image="vllm/vllm-openai:v0.25.0",
            ),
            group(
                leader="args: [--tensor-parallel-size, '8', --pipeline-parallel-size, '3']\n"
                "resources:\n  limits:\n    nvidia.com/gpu: 8\n",
                image="vllm/vllm-openai:v0.25.0",
            ),
        ),
        ("privileged", group(leader="securityContext:\n  privileged: true\n"), group()),
        ("nccl-transport-off", group(leader=env("NCCL_P2P_DISABLE", "1")), group()),
        (
            "nim-json-logging",
            group(leader=env("NIM_JSONL_LOGGING", "1"), image="nvcr.io/nim/x/y:2.0.1"),
            group(leader=env("NIM_JSONL_LOGGING", "1")),
        ),
    ],
)
def test_manifests(rule: str, bad: str, good: str) -> None:
    assert rule in rules(bad)
    assert rule not in rules(good)


def test_a_second_object_in_another_file_counts() -> None:
    claim = (
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: models\n"
        "spec:\n  accessModes:\n    - MODE\n"
    )
    volume = (
        "        volumes:\n          - name: v\n            persistentVolumeClaim:\n"
        "              claimName: models\n"
    )
    text = group() + volume
    for mode, rule in (("ReadWriteOnce", "claim-not-shared"), ("ReadWriteMany", None)):
        known = [recognise("a.yaml", text), recognise("b.yaml", claim.replace("MODE", mode))]
        found = {each.rule for each in check([each for each in known if each])}
        assert ("claim-not-shared" in found) == (rule is not None)
        assert "claim-unseen" not in found


def test_a_service_that_selects_workers_is_an_error() -> None:
    service = (
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: r1\n"
        "spec:\n  selector:\n    app: r1\n  ports: []\n"
    )
    assert "service-selects-workers" in rules(group() + service)
    mended = fixed(group() + service)
    assert 'leaderworkerset.sigs.k8s.io/worker-index: "0"' in mended
    assert "service-selects-workers" not in rules(mended)


def run(*options: str, image: str = IMAGE) -> str:
    lines = ["docker run -d", *(f"  {option}" for option in options), f"  {image}"]
    return " \\\n".join(lines) + "\n"


RANK_1 = ("-e NIM_NODE_RANK=1", "-e NIM_NUM_COMPUTE_NODES=2", "-e NIM_LEADER_IP_ADDRESS=10.0.0.1")


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        ("restart-alone", run("--restart=unless-stopped", *RANK_1), run("--restart=no", *RANK_1)),
        ("restart-alone", run("--restart always", *RANK_1), run("--restart always")),
        ("rank-wrong", run("-e NIM_NODE_RANK=2", "-e NIM_NUM_COMPUTE_NODES=2"), run(*RANK_1)),
        ("rank-wrong", run(*RANK_1) + run(*RANK_1), run(*RANK_1)),
        ("privileged", run("--privileged"), run("--cap-add IPC_LOCK")),
        ("image-floating-tag", run(image="nvcr.io/nim/a/b"), run(image="nvcr.io/nim/a/b:1.8.0")),
        ("secret-in-arguments", run('-e NGC_API_KEY="$NGC_API_KEY"'), run("-e NGC_API_KEY")),
        (
            "secret-in-arguments",
            run(image="vllm/vllm-openai:v1 --api-key abc"),
            run(image="vllm/vllm-openai:v1"),
        ),
        ("nim-key-missing", run(), run("--env-file ngc.env")),
        (
            "shm-missing",
            run("-e NIM_TENSOR_PARALLEL_SIZE=8"),
            run("-e NIM_TENSOR_PARALLEL_SIZE=8", "--shm-size=16g"),
        ),
    ],
)
def test_scripts(rule: str, bad: str, good: str) -> None:
    assert rule in rules(bad, "run.sh")
    assert rule not in rules(good, "run.sh")


def test_restart_without_a_group_is_no_fault_and_its_remedy_leaves_the_rest() -> None:
    mended = fixed(run("--restart=always", *RANK_1), "run.sh")
    assert "--restart" not in mended
    assert mended.count("\\\n") == len(mended.splitlines()) - 1


def test_the_place_of_an_option_on_a_long_line() -> None:
    text = "set -e; if true; then sudo docker run -d --network host -p 8000:8000 " + IMAGE + "; fi\n"
    (found,) = (each for each in lint(text, "run.sh") if each.rule == "published-port-ignored")
    assert (found.line, found.column) == (1, text.index("-p 8000") + 1)
    assert fixed(text, "run.sh").startswith("set -e; if true; then sudo docker run -d --network host ")
    assert "-p 8000" not in fixed(text, "run.sh")


COMPOSE = """\
services:
  r1:
    image: {image}
    network_mode: host
    restart: {restart}
    ports: ["8000:8000"]
    environment:
      NIM_NODE_RANK: "1"
      NIM_NUM_NODES: "2"
      NIM_LEADER_IP_ADDRESS: 10.0.0.1
      NGC_API_KEY: ${{NGC_API_KEY}}
"""


def test_compose() -> None:
    text = COMPOSE.format(image=IMAGE, restart="always")
    found = rules(text, "compose.yaml")
    assert {"restart-alone", "published-port-ignored", "nim-unread-variable", "nim-missing-variable"} <= found
    assert not {"secret-literal", "secret-in-arguments"} & found
    mended = fixed(text, "compose.yaml")
    assert 'restart: "no"' in mended
    assert "NIM_NUM_COMPUTE_NODES:" in mended
    assert "ports" not in mended
    assert [each for each in lint(mended, "compose.yaml") if each.severity == "error" and each.fix] == []


SBATCH = """\
#!/bin/bash
#SBATCH --nodes=2
#SBATCH --ntasks-per-node={tasks}
export NIM_NODE_RANK={rank}
export NIM_NUM_COMPUTE_NODES={nodes}
export NGC_API_KEY={key}
srun {kill} --container-image=nvcr.io#nim/deepseek-ai/deepseek-r1:1.7.3 /opt/nim/start_server.sh
"""


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        ("tasks-per-node", {"tasks": 8}),
        ("rank-hard-coded", {"rank": 0}),
        ("rank-by-task", {"tasks": 8, "rank": "$SLURM_PROCID"}),
        ("group-size-wrong", {"nodes": 3}),
        ("secret-literal", {"key": "nvapi-abc"}),
        ("job-outlives-rank", {"kill": ""}),
    ],
)
def test_job_scripts(rule: str, bad: dict[str, object]) -> None:
    good: dict[str, object] = {
        "tasks": 1,
        "rank": "$SLURM_NODEID",
        "nodes": 2,
        "key": "$(cat ~/key)",
        "kill": "--kill-on-bad-exit=1",
    }
    assert rule in rules(SBATCH.format(**{**good, **bad}), "job.sbatch")
    assert rules(SBATCH.format(**good), "job.sbatch") == set()
    mended = fixed(SBATCH.format(**{**good, **bad}), "job.sbatch")
    if rule not in ("secret-literal", "group-size-wrong"):
        assert rule not in rules(mended, "job.sbatch")


def test_env_files(tmp_path: Path) -> None:
    file = tmp_path / "rank.env"
    text = "NIM_MASTER_ADDR=10.0.0.1\nNCCL_IB_HCA=mlx5_0\nNGC_API_KEY=nvapi-abc\n"
    file.write_text(text)
    file.chmod(0o644)
    assert rules(text, str(file)) == {"nim-unread-variable", "nccl-hca-prefix", "env-file-readable"}
    os.chmod(file, 0o600)  # noqa: PTH101
    assert "env-file-readable" not in rules(text, str(file))
    assert (
        fixed(text, str(file))
        == "NIM_LEADER_IP_ADDRESS=10.0.0.1\nNCCL_IB_HCA==mlx5_0\nNGC_API_KEY=nvapi-abc\n"
    )


def test_a_comment_allows_what_it_names() -> None:
    text = "# nimctl: ignore[nccl-debug]\nexport NCCL_DEBUG=INFO\nexport NCCL_IB_GID_INDEX=3\n"
    assert rules(text, "x.sh") == {"nccl-gid-index"}
    assert rules("# nimctl: ignore-file[nccl-debug, nccl-gid-index]\n" + text, "x.sh") == set()


def test_a_template_of_helm_is_told_and_does_no_harm() -> None:
    (found,) = lint("apiVersion: v1\nkind: Service\nspec: {{ .Values.spec }}\nx: [\n")
    assert (found.rule, found.severity) == ("unreadable", "error")


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: v1\nkind: LeaderWorkerSet\n",
        "apiVersion: v1\nkind: LeaderWorkerSet\nspec: {leaderWorkerTemplate: 7}\n",
        "apiVersion: v1\nkind: Deployment\nspec: {template: {spec: {containers: [{image: [], env: [1, "
        "{name: x}]}]}}}\n",
        "apiVersion: v1\nkind: List\nitems: [{kind: Pod, spec: {containers: [{}]}}]\n",
        "#!/bin/sh\ndocker run\ndocker run -e\ncat <<EOF\n'\nEOF\necho \"$(\n",
        "#SBATCH\n#SBATCH --nodes\nsrun\nexport =\n",
        "services: {a: 1, b: {environment: [X], volumes: [1], image: 3}}\n",
        "services: &a\n  b: &b\n    <<: *a\n  <<: *b\n",
        "services:\n  a: &a\n    image: x\n    environment:\n      y: *a\n    volumes: [*a]\n",
        "apiVersion: v1\nkind: A\n" + "a:\n" + "".join(" " * n + f"- k{n}:\n" for n in range(1, 300)),
    ],
)
def test_odd_files_do_no_harm(text: str) -> None:
    lint(text)
    fixed(text)


def test_rules_say_why_and_where_from() -> None:
    assert len(RULES) > 50
    for each in RULES.values():
        assert each.why.endswith(".")
        assert each.source
        assert each.kinds


def one_node(model: str, gpu: str, tensor: int) -> str:
    """A Deployment of vLLM on GPUs of one node."""
    return (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: m}\nspec:\n  template:\n    spec:\n"
        f"      nodeSelector: {{nvidia.com/gpu.product: {gpu}}}\n      containers:\n        - name: m\n"
        f"          image: vllm/vllm-openai:v0.25.0\n"
        f"          args: [--model, {model}, --tensor-parallel-size, '{tensor}']\n"
        f"          resources: {{limits: {{nvidia.com/gpu: {tensor}}}}}\n"
    )


@pytest.mark.parametrize(
    ("model", "gpu", "tensor", "fits"),
    [
        ("deepseek-ai/DeepSeek-R1", "NVIDIA-H100-80GB-HBM3", 8, False),
        ("deepseek-ai/DeepSeek-R1", "NVIDIA-H200", 8, True),
        ("meta-llama/Llama-3.1-70B-Instruct", "NVIDIA-H100-80GB-HBM3", 4, True),
        ("meta-llama/Llama-3.1-70B-Instruct", "NVIDIA-L4", 1, False),
        ("somebody/unknown", "NVIDIA-L4", 1, True),
        ("meta-llama/Llama-3.1-70B-Instruct", "NVIDIA-UNKNOWN", 1, True),
    ],
)
def test_a_model_that_cannot_fit_is_told(model: str, gpu: str, tensor: int, fits: bool) -> None:
    found = [each for each in lint(one_node(model, gpu, tensor)) if each.rule == "memory-too-small"]
    assert [each.severity for each in found] == ([] if fits else ["error"])


def test_memory_by_the_profile_of_nim() -> None:
    options = ("-e NIM_TENSOR_PARALLEL_SIZE=8", "-e NIM_PIPELINE_PARALLEL_SIZE=1")
    profile = "-e NIM_MODEL_PROFILE=sglang-{}-fp8-tp8-pp1"
    assert "memory-too-small" in rules(run(*options, profile.format("h100")), "run.sh")
    assert "memory-too-small" not in rules(run(*options, profile.format("h200")), "run.sh")


def test_what_a_merge_brings_in_is_there() -> None:
    text = (
        "x-rank: &rank\n  image: " + IMAGE + "\n  network_mode: host\n  environment: &both\n"
        '    NIM_MULTI_NODE: "1"\n    NIM_NUM_NODES: "2"\n'
        "services:\n  r0:\n    <<: *rank\n    restart: always\n    environment:\n      <<: *both\n"
        '      NIM_NODE_RANK: "1"\n'
    )
    found = lint(text, "compose.yaml")
    assert ("nim-unread-variable", 6) in {(each.rule, each.line) for each in found}
    assert "restart-alone" in {each.rule for each in found}
    (missing,) = (each for each in found if each.rule == "nim-missing-variable")
    assert "NIM_MULTI_NODE" not in missing.message
    mended = fixed(text, "compose.yaml")
    assert "NIM_NUM_COMPUTE_NODES" in mended
    assert lint(mended, "compose.yaml") == lint(fixed(mended, "compose.yaml"), "compose.yaml")
