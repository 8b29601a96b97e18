"""Who is which rank, of how many, and where the leader is."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nimctl.lint.containers import Container, Variable
from nimctl.lint.model import Fix, Place, Report, rule
from nimctl.lint.readers.kubernetes import LWS, Pod
from nimctl.lint.readers.sbatch import Job

WORKER_INDEX = "leaderworkerset.sigs.k8s.io/worker-index"
_PREFIX = "leaderworkerset.sigs.k8s.io/"
_LWS_LABELS = frozenset(
    (
        "name",
        "group-index",
        "worker-index",
        "group-key",
        "template-revision-hash",
        "subgroup-index",
        "subgroup-key",
    )
)
_LWS_ANNOTATIONS = frozenset(
    (
        "size",
        "leader-name",
        "replicas",
        "exclusive-topology",
        "subgroup-exclusive-topology",
        "subgroup-size",
        "subgroup-policy-type",
        "subdomainPolicy",
    )
)

HARD_CODED = rule(
    "rank-hard-coded",
    "error",
    "a rank that is the same for every worker",
    why="One template makes all workers of a group, and one script all tasks of a job: a number in it "
    "gives several of them the same rank. With two nodes it happens to be right.",
    source="kubernetes-sigs/lws, labels of pods; k8s-nim-operator (NIM_NODE_RANK from the label)",
    kinds=("kubernetes", "sbatch"),
)
WRONG = rule(
    "rank-wrong",
    "error",
    "a rank that another one has, or that does not exist",
    why="Two ranks of one number wait for a third that never comes; rank 0 has to be the leader.",
    source="dgxc-benchmarking, cloudai (rank 0 leads)",
    kinds=("kubernetes", "docker", "compose"),
)
SIZE_HARD_CODED = rule(
    "group-size-hard-coded",
    "warning",
    "a group size that is written a second time",
    why="It has to follow `size`, and does not when that changes; LeaderWorkerSet puts it into "
    "LWS_GROUP_SIZE.",
    source="kubernetes-sigs/lws, injected variables",
    kinds=("kubernetes",),
)
SIZE_WRONG = rule(
    "group-size-wrong",
    "error",
    "a group size that is not the size of the group",
    why="The ranks wait for one that never comes, or leave one out.",
    source="dgxc-benchmarking, Run:ai (must match the group size)",
    kinds=("kubernetes", "sbatch"),
)
PARALLEL = rule(
    "parallel-size-wrong",
    "error",
    "a split that does not use the GPUs that are there",
    why="Tensor times pipeline parallelism is the number of GPUs of a replica, over all of its nodes.",
    source="vllm/config/parallel.py; NIM launch.py (tp x pp against the selected GPUs)",
    kinds=("kubernetes", "docker", "compose"),
)
LEADER_EMPTY = rule(
    "leader-address-empty",
    "error",
    "an address from an annotation or label that nobody sets",
    why="The downward API gives an empty text for what is missing, and no error. LeaderWorkerSet sets "
    "LWS_LEADER_ADDRESS in every container; an annotation with the leader's address does not exist.",
    source="kubernetes-sigs/lws up to v0.10.0; kubernetes pkg/fieldpath",
    kinds=("kubernetes",),
)
LEADER_POD_IP = rule(
    "leader-address-pod-ip",
    "warning",
    "a leader that knows itself by another address than its workers do",
    why="Ranks compare addresses, and the pod's own is not the one that its workers use where there is a "
    "second network. LWS_LEADER_ADDRESS is the same for all.",
    source="kubernetes-sigs/lws, injected variables",
    kinds=("kubernetes",),
)
PROCID = rule(
    "rank-by-task",
    "error",
    "a rank from SLURM_PROCID with several tasks on a node",
    why="A rank is a node's share: with several tasks on each, SLURM_PROCID counts tasks. SLURM_NODEID "
    "counts nodes.",
    source="dgxc-benchmarking (one task per node); sbatch(1)",
    kinds=("sbatch",),
)

_ADDRESSES = ("NIM_LEADER_IP_ADDRESS", "NIM_MASTER_ADDR", "MASTER_ADDR", "HEAD_NODE")
_RANKS = ("NIM_NODE_RANK", "NODE_RANK")
_SIZES = ("NIM_NUM_COMPUTE_NODES", "NIM_NUM_NODES", "NNODES")


def check_pod(pod: Pod, report: Report) -> None:
    """Ranks, sizes and addresses of a LeaderWorkerSet's pods."""
    for container in pod.containers:
        for variable in container.variables:
            _field(variable, report)
        if pod.owner.text("kind") != LWS or pod.size is None or pod.size == 1:
            continue
        _rank(pod, container, report)
        _size(pod.size, container, report)
        leader = next((each for name in _ADDRESSES if (each := container.get(name))), None)
        if pod.role == "leader" and leader is not None and leader.value == "status.podIP":
            fix = (
                Fix("use LWS_LEADER_ADDRESS", leader.write("$(LWS_LEADER_ADDRESS)")) if leader.write else None
            )
            report.add(
                LEADER_POD_IP,
                leader.place,
                f"{leader.name} is the pod's own address here; workers know the leader by LWS_LEADER_ADDRESS",
                fix,
            )


def _field(variable: Variable, report: Report) -> None:
    match = re.fullmatch(r"metadata\.(annotations|labels)\['(leaderworkerset\.[^']+)'\]", variable.value)
    if variable.origin != "field" or match is None:
        return
    known = _LWS_ANNOTATIONS if match[1] == "annotations" else _LWS_LABELS
    if match[2].removeprefix(_PREFIX) in known:
        return
    fix = None
    if "address" in match[2] and variable.write:
        fix = Fix("use LWS_LEADER_ADDRESS", variable.write("$(LWS_LEADER_ADDRESS)"))
    report.add(
        LEADER_EMPTY,
        variable.place,
        f"LeaderWorkerSet sets no {match[1].removesuffix('s')} {match[2]}, so {variable.name} is empty; "
        "use $(LWS_LEADER_ADDRESS)",
        fix,
    )


def _rank(pod: Pod, container: Container, report: Report) -> None:
    assert pod.size is not None
    for variable in (container.get(name) for name in _RANKS):
        if variable is None or variable.origin != "literal" or not variable.value.isdigit():
            continue
        number = int(variable.value)
        fix = Fix("take it from the label", variable.write(f"field:metadata.labels['{WORKER_INDEX}']"))  # type: ignore[misc]
        _judge_rank(pod, number, variable.name, variable.place, fix, report)
    argument = container.argument("node-rank")
    if argument is not None:
        _judge_rank(pod, argument, "--node-rank", container.place, None, report)


def _judge_rank(pod: Pod, number: int, name: str, place: Place, fix: Fix | None, report: Report) -> None:
    assert pod.size is not None
    if pod.role == "leader" and number != 0:
        report.add(WRONG, place, f"{name} is {number} on the leader, which is rank 0", fix)
    elif pod.role in ("worker", "unknown") and number == 0:
        report.add(WRONG, place, f"{name} is 0 on the workers: that is the leader's number", fix)
    elif pod.role in ("worker", "unknown"):
        two = pod.size == 2
        told = "and with a third node two would have it" if two else f"and {pod.size - 1} workers share it"
        report.add(
            HARD_CODED,
            place,
            f"{name} is {number} for every worker, {told}; take it from the label worker-index",
            fix,
            severity="warning" if two else None,
        )


def _size(size: int, container: Container, report: Report) -> None:
    for variable in (container.get(name) for name in _SIZES):
        if variable is None or variable.origin != "literal" or not variable.value.isdigit():
            continue
        fix = Fix("use LWS_GROUP_SIZE", variable.write("$(LWS_GROUP_SIZE)")) if variable.write else None
        if int(variable.value) == size:
            told = f"{variable.name} repeats the size {size} of the group; use $(LWS_GROUP_SIZE)"
            report.add(SIZE_HARD_CODED, variable.place, told, fix)
        else:
            told = (
                f"{variable.name} is {variable.value}, and the group has {size} pods; use $(LWS_GROUP_SIZE)"
            )
            report.add(SIZE_WRONG, variable.place, told, fix)
    number = container.argument("nnodes")
    if number is not None and number != size:
        report.add(SIZE_WRONG, container.place, f"--nnodes is {number}, and the group has {size} pods")


def split_of(container: Container) -> tuple[int | None, int | None, Place | None]:
    """Tensor and pipeline parallelism of an engine, and where it stands; None where the file does not say."""
    if container.engine == "nim":
        tensor, pipeline = (container.number(f"NIM_{name}_PARALLEL_SIZE") for name in ("TENSOR", "PIPELINE"))
        variable = container.get("NIM_TENSOR_PARALLEL_SIZE")
        return tensor, pipeline, variable.place if variable else None
    tensor = container.argument("tensor-parallel-size", "tp-size", "tp")
    return tensor, container.argument("pipeline-parallel-size", "pp-size", "pp") or 1, None


def check_parallel(container: Container, report: Report) -> None:
    """Whether tensor times pipeline is what the replica has of GPUs."""
    if not container.gpus or container.engine == "":
        return
    tensor, pipeline, place = split_of(container)
    nodes = container.size or next((n for name in _SIZES if (n := container.number(name))), None)
    nodes = nodes or container.argument("nnodes") or (None if container.spans_nodes else 1)
    if tensor is None or pipeline is None or nodes is None or tensor * pipeline == container.gpus * nodes:
        return
    report.add(
        PARALLEL,
        place or container.place,
        f"tensor {tensor} times pipeline {pipeline} is {tensor * pipeline} GPUs, and "
        f"{nodes} x {container.gpus} are asked for",
    )


def check_group(containers: Sequence[Container], reports: dict[str, Report]) -> None:
    """Ranks of one replica in several commands or files: each number once, and none beyond the size."""
    groups: dict[tuple[str, str], dict[int, Container]] = {}
    for container in containers:
        number = container.number("NIM_NODE_RANK")
        number = container.argument("node-rank") if number is None else number
        if number is None or container.kind not in ("docker", "compose"):
            continue
        report = reports[container.source.file]
        variable = container.get("NIM_NODE_RANK")
        place = variable.place if variable else container.place
        size = next((n for name in _SIZES if (n := container.number(name))), None) or container.argument(
            "nnodes"
        )
        if size is not None and number >= size:
            report.add(
                WRONG, place, f"rank {number} does not exist in a replica of {size} nodes (0 to {size - 1})"
            )
        leader = next((each.value for name in _ADDRESSES if (each := container.get(name))), None)
        known = groups.setdefault((container.image, leader or container.source.file), {})
        first = known.setdefault(number, container)
        if first is not container:
            where = f"{first.source.file}:{first.place[0]}"
            report.add(WRONG, place, f"rank {number} a second time: {where} has it already")


def check_job(job: Job, report: Report) -> None:
    """Ranks and sizes of a job's tasks."""
    tasks = job.options.get("--ntasks-per-node", ("1", (1, 1)))[0]
    for variable in job.task.variables:
        if variable.name in _RANKS and variable.origin == "literal" and variable.value.isdigit():
            if job.task.size is not None and job.task.size > 1:
                fix = Fix("use SLURM_NODEID", variable.write('"$SLURM_NODEID"')) if variable.write else None
                told = f"{variable.name} is {variable.value} for every task; use SLURM_NODEID"
                report.add(HARD_CODED, variable.place, told, fix)
        elif variable.name in _RANKS and "SLURM_PROCID" in variable.value and tasks not in ("", "1"):
            fix = Fix("use SLURM_NODEID", variable.write('"$SLURM_NODEID"')) if variable.write else None
            report.add(
                PROCID, variable.place, f"{variable.name} counts {tasks} tasks on each node as ranks", fix
            )
        elif (
            variable.name in _SIZES
            and variable.value.isdigit()
            and job.task.size not in (None, int(variable.value))
        ):
            told = f"{variable.name} is {variable.value}, and the job has {job.task.size} nodes"
            report.add(SIZE_WRONG, variable.place, told)
