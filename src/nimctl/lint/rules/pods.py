"""Pods: pulling, scheduling, probes, rights, resources."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import yaml

from nimctl.lint.containers import Container
from nimctl.lint.facts import facts
from nimctl.lint.model import Fix, Report, rule
from nimctl.lint.readers.kubernetes import Pod
from nimctl.lint.yamltree import Tree

_K8S = ("kubernetes",)
SHM = "/dev/shm"  # noqa: S108 - where shared memory is

PULL = rule(
    "pull-secret-missing",
    "error",
    "an image of nvcr.io without a login",
    why="nvcr.io gives NIM images to nobody without a key: the pod stays in ImagePullBackOff.",
    source="NGC documentation; Kubernetes documentation, pull secrets",
    kinds=_K8S,
)
TOLERATIONS = rule(
    "tolerations-differ",
    "error",
    "workers that do not tolerate what their leader does",
    why="On tainted GPU nodes the leader is scheduled and its workers stay Pending.",
    source="Kubernetes documentation, taints and tolerations",
    kinds=_K8S,
)
READINESS = rule(
    "readiness-probe-missing",
    "error",
    "a leader that counts as ready at once",
    why="The service sends requests to a model that loads for half an hour, and a rollout takes the next "
    "replica down.",
    source="k8s-nim-operator and nim-deploy chart 1.1.2 (/v1/health/ready)",
    kinds=_K8S,
)
STARTUP = rule(
    "startup-probe-missing",
    "warning",
    "a leader without a startup probe",
    why="Loading takes half an hour. A startup probe gives that time without making later failures slow "
    "to notice.",
    source="sample of k8s-nim-operator (900 s, then 100 x 10 s)",
    kinds=_K8S,
)
SHORT = rule(
    "probe-too-short",
    "error",
    "a probe that kills what still loads",
    why="When a startup or liveness probe gives up before the model is loaded, the pod starts again, for "
    "ever.",
    source="dgxc-benchmarking (1600 s for DeepSeek-R1); src/nimctl/data/lint.yml",
    kinds=_K8S,
)
CONTEXT = rule(
    "security-context-missing",
    "warning",
    "NIM without the user that it runs as",
    why="NIM runs as uid 1000 and cannot write a volume that belongs to root; fsGroup 1000 gives it the "
    "volume.",
    source="nim-deploy chart 1.1.2 (1000, 1000, fsGroup 1000); Run:ai documentation",
    kinds=_K8S,
)
REQUESTS = rule(
    "requests-missing",
    "warning",
    "an engine without requests for CPU, memory and disk",
    why="The scheduler puts anything beside it, and what is short is taken from it first. A /dev/shm in "
    "memory counts as memory of the pod.",
    source="Kubernetes documentation, resource management",
    kinds=_K8S,
)
SHM_MEMORY = rule(
    "shm-beyond-memory",
    "warning",
    "a /dev/shm as large as the memory limit",
    why="What lies in it counts as memory of the pod: filling it ends the pod.",
    source="Kubernetes documentation, emptyDir in memory",
    kinds=_K8S,
)
GRACE = rule(
    "grace-period-missing",
    "info",
    "the default grace period",
    why="A leader needs time to finish the requests that it has; 30 s is a guess that nobody made.",
    source="Kubernetes documentation, termination of pods",
    kinds=_K8S,
)
DNS = rule(
    "host-network-dns",
    "warning",
    "hostNetwork with the node's DNS",
    why="Without dnsPolicy ClusterFirstWithHostNet a pod on the node's network does not find "
    "LWS_LEADER_ADDRESS.",
    source="Kubernetes documentation, DNS policy of pods",
    kinds=_K8S,
)
PRIVILEGED = rule(
    "privileged",
    "warning",
    "a privileged container",
    why="It may do anything on its node. GPUs need no privilege, RDMA needs IPC_LOCK only.",
    source="Kubernetes documentation, Pod Security Standards",
    kinds=("kubernetes", "docker", "compose"),
)


def check(pod: Pod, report: Report) -> None:
    """Rules that look at one pod template."""
    engines = [each for each in pod.containers if each.engine]
    if not engines:
        return
    spec = pod.spec
    nim = any(each.is_nim and each.reference and each.reference.registry == "nvcr.io" for each in engines)
    if nim and spec.get("imagePullSecrets") is None and spec.get("serviceAccountName") is None:
        fix = _append(spec, {"imagePullSecrets": [{"name": "nvcr-io-pull"}]})
        report.add(PULL, spec.place, "imagePullSecrets is missing, and nvcr.io asks for a login", fix)
    if any(each.is_nim for each in engines) and not _runs_as(pod, engines):
        wanted = {"securityContext": {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 1000}}
        fix = _append(spec, wanted) if spec.get("securityContext") is None else None
        report.add(CONTEXT, spec.place, "securityContext with runAsUser and fsGroup 1000 is missing", fix)
    if spec.get("terminationGracePeriodSeconds") is None:
        report.add(GRACE, spec.place, "terminationGracePeriodSeconds is not set")
    if spec.text("hostNetwork") == "true" and spec.text("dnsPolicy") != "ClusterFirstWithHostNet":
        fix = (
            _append(spec, {"dnsPolicy": "ClusterFirstWithHostNet"}) if spec.get("dnsPolicy") is None else None
        )
        report.add(DNS, spec.place, "hostNetwork needs dnsPolicy: ClusterFirstWithHostNet", fix)
    for container in engines:
        tree = pod.tree(container)
        _probes(pod, container, tree, report)
        _resources(pod, tree, report)
        if tree.text("securityContext", "privileged") == "true":
            report.add(PRIVILEGED, tree.get("securityContext").place, "privileged is not needed")  # type: ignore[union-attr]


def _append(tree: Tree, value: dict[str, Any]) -> Fix | None:
    """Add keys to a mapping of the file."""
    lines = yaml.safe_dump(value, sort_keys=False, default_flow_style=False).splitlines()
    edit = tree.append_key([line.replace("\n", "") for line in _indented(lines)])
    return Fix(f"add {', '.join(value)}", (edit,)) if edit else None


def _indented(lines: Sequence[str]) -> list[str]:
    """Lists one step further in than their key, as people write them."""
    result, deeper = [], 0
    for line in lines:
        own = len(line) - len(line.lstrip())
        deeper = 2 if line.startswith("- ") else deeper if own or line.startswith(" ") else 0
        result.append(" " * deeper + line)
    return result


def _runs_as(pod: Pod, engines: Sequence[Container]) -> bool:
    if pod.spec.get("securityContext", "fsGroup") is not None:
        return True
    return any(pod.tree(each).get("securityContext", "runAsUser") for each in engines) or (
        pod.spec.get("securityContext", "runAsUser") is not None
    )


def check_together(leader: Pod, worker: Pod, report: Report) -> None:
    """Rules that compare the two templates of a group."""
    missing = [each for each in _tolerations(leader) if each not in _tolerations(worker)]
    if missing:
        fix = None
        if worker.spec.get("tolerations") is None:
            fix = _append(worker.spec, {"tolerations": missing})
        keys = ", ".join(str(each.get("key", "everything")) for each in missing)
        report.add(TOLERATIONS, worker.spec.place, f"the leader tolerates {keys}, its workers do not", fix)


def _tolerations(pod: Pod) -> list[dict[str, Any]]:
    found = pod.spec.get("tolerations")
    return list(found.plain()) if found else []


def load_seconds(container: Container) -> int:
    """How long an engine loads before it answers."""
    load = facts().load_seconds
    contract = container.contract
    if not container.spans_nodes:
        return load.one_node
    return load.several_nodes.get(contract.id if contract else "", load.one_node)


def _serves(pod: Pod, tree: Tree) -> bool:
    """Whether a pod answers clients."""
    return pod.role in ("leader", "single") or (pod.role == "unknown" and tree.get("ports") is not None)


def _probes(pod: Pod, container: Container, tree: Tree, report: Report) -> None:
    needed = load_seconds(container)
    killers = [name for name in ("startupProbe", "livenessProbe") if tree.get(name) is not None]
    if killers:
        probe = tree.get(killers[0])
        assert probe is not None
        window = _window(probe)
        if window < needed:
            fix = _longer(probe, needed)
            report.add(
                SHORT,
                probe.place,
                f"{killers[0]} gives up after {window} s, and loading takes about {needed} s",
                fix,
            )
    if not _serves(pod, tree):
        return
    get = {"httpGet": _target(container, tree), "periodSeconds": 10, "timeoutSeconds": 5}
    if tree.get("readinessProbe") is None:
        fix = _append(tree, {"readinessProbe": {**get, "failureThreshold": 3}})
        report.add(
            READINESS, container.place, "readinessProbe is missing: it counts as ready while it loads", fix
        )
    if "startupProbe" not in killers and container.is_nim:
        deadline = 2700 if container.spans_nodes else 1200
        fix = _append(tree, {"startupProbe": {**get, "failureThreshold": math.ceil(deadline / 10)}})
        report.add(STARTUP, container.place, f"startupProbe is missing: loading takes about {needed} s", fix)


def _window(probe: Tree) -> int:
    """Seconds until a probe gives up, from the start of its container."""
    period = probe.number("periodSeconds") or 10
    return (probe.number("initialDelaySeconds") or 0) + period * (probe.number("failureThreshold") or 3)


def _longer(probe: Tree, needed: int) -> Fix | None:
    period = probe.number("periodSeconds") or 10
    threshold = math.ceil(max(needed, 1600) * 1.5 / period)
    present = probe.get("failureThreshold")
    if present is not None:
        return Fix("raise failureThreshold", (present.replace(str(threshold)),))
    edit = probe.append_key([f"failureThreshold: {threshold}"])
    return Fix("raise failureThreshold", (edit,)) if edit else None


def _target(container: Container, tree: Tree) -> dict[str, Any]:
    contract = container.contract
    path = contract.health.path if contract else "/v1/health/ready"
    ports = [port.number("containerPort") for port in tree.each("ports")]
    return {
        "path": path,
        "port": next((port for port in ports if port), container.number("NIM_SERVER_PORT") or 8000),
    }


def _resources(pod: Pod, tree: Tree, report: Report) -> None:
    if not any("gpu" in key for part in ("limits", "requests") for key, _ in tree.items("resources", part)):
        return
    given = {key for part in ("limits", "requests") for key, _ in tree.items("resources", part)}
    missing = [key for key in ("cpu", "memory", "ephemeral-storage") if key not in given]
    where = tree.get("resources")
    assert where is not None
    memory = next((text for part in ("limits",) if (text := tree.text("resources", part, "memory"))), None)
    shm = _shm(pod, tree)
    if missing:
        counted = f"; the {shm[1]} of /dev/shm count as memory" if shm and "memory" in missing else ""
        report.add(REQUESTS, where.place, f"no request for {', '.join(missing)}{counted}")
    if shm and memory and _bytes(shm[1]) >= _bytes(memory) > 0:
        report.add(SHM_MEMORY, shm[0].place, f"{SHM} of {shm[1]} counts against the memory limit of {memory}")


def _shm(pod: Pod, tree: Tree) -> tuple[Tree, str] | None:
    name = next(
        (each.text("name") for each in tree.each("volumeMounts") if each.text("mountPath") == SHM), None
    )
    for volume in pod.spec.each("volumes"):
        limit = volume.get("emptyDir", "sizeLimit")
        if name is not None and volume.text("name") == name and limit is not None:
            return limit, limit.text() or ""
    return None


_UNITS = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}


def _bytes(quantity: str) -> float:
    match = re.fullmatch(r"([0-9.]+)([kMGT]i?|Ki)?", quantity)
    return float(match[1]) * _UNITS[match[2] or ""] if match else 0.0
