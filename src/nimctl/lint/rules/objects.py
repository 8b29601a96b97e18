"""Objects around pods: groups, services, claims, budgets."""

from __future__ import annotations

from collections.abc import Sequence

from nimctl.lint.model import Fix, Report, rule
from nimctl.lint.readers.kubernetes import LWS, Manifest, Pod
from nimctl.lint.rules import containers, pods
from nimctl.lint.yamltree import Tree

_K8S = ("kubernetes",)
LWS_NAME = "leaderworkerset.sigs.k8s.io/name"
WORKER_INDEX = "leaderworkerset.sigs.k8s.io/worker-index"
_SHARED = ("ReadWriteMany", "ReadOnlyMany")

SELECTS_WORKERS = rule(
    "service-selects-workers",
    "error",
    "a service that sends requests to workers",
    why="Only rank 0 serves HTTP: every other request is refused.",
    source="k8s-nim-operator (its service selects the leader)",
    kinds=_K8S,
)
LOOSE = rule(
    "service-selector-loose",
    "warning",
    "a service that finds its leader by labels of the template only",
    why="Another group with the same labels gets its requests. LeaderWorkerSet labels pods with the "
    "group's name and with worker-index, which is 0 on the leader.",
    source="kubernetes-sigs/lws, labels of pods",
    kinds=_K8S,
)
CLAIM = rule(
    "claim-not-shared",
    "error",
    "ranks on several nodes with a claim for one",
    why="A volume that is ReadWriteOnce is attached to one node: the other ranks stay in ContainerCreating.",
    source="Kubernetes documentation, access modes",
    kinds=_K8S,
)
CLAIM_UNSEEN = rule(
    "claim-unseen",
    "info",
    "a claim whose access mode is not shown",
    why="Ranks on several nodes need ReadWriteMany (or ReadOnlyMany for weights); nothing here says that "
    "it is.",
    source="Kubernetes documentation, access modes",
    kinds=_K8S,
)
TOPOLOGY = rule(
    "topology-missing",
    "info",
    "ranks that may be scheduled anywhere",
    why="Ranks that talk for every token may land in different racks or zones. The annotation "
    "exclusive-topology, or an affinity, keeps a group together.",
    source="kubernetes-sigs/lws, exclusive placement",
    kinds=_K8S,
)
BUDGET = rule(
    "disruption-budget-missing",
    "info",
    "a replica that any drain may end",
    why="Without a PodDisruptionBudget emptying one node takes a replica down that needs half an hour to "
    "come back.",
    source="Kubernetes documentation, disruptions",
    kinds=_K8S,
)
RESTART = rule(
    "group-restart-policy",
    "warning",
    "a group whose pods restart one by one",
    why="A rank that starts again alone leaves a group that hangs: rank 0 does not notice. "
    "RecreateGroupOnPodRestart restarts all of it.",
    source="kubernetes-sigs/lws, restartPolicy; sglang issue 3099",
    kinds=_K8S,
)
STARTUP_POLICY = rule(
    "startup-policy-deadlock",
    "error",
    "workers that wait for a leader that waits for them",
    why="With LeaderReady workers are made when the leader is ready, and an engine's leader is ready only "
    "when its workers have joined.",
    source="kubernetes-sigs/lws, startupPolicy",
    kinds=_K8S,
)


def check(manifest: Manifest, every: Sequence[Tree], report: Report) -> None:
    """Rules about the objects of a file; ``every`` has those of all files that are checked together."""
    groups: dict[int, list[Pod]] = {}
    for pod in manifest.pods:
        groups.setdefault(id(pod.owner), []).append(pod)
    for members in groups.values():
        if members[0].owner.text("kind") == LWS and any(
            each.engine for pod in members for each in pod.containers
        ):
            _group(members, every, report)
    for service in manifest.of_kind("Service"):
        _service(service, manifest, report)


def _group(members: list[Pod], every: Sequence[Tree], report: Report) -> None:
    owner, size = members[0].owner, members[0].size or 1
    if size == 1:
        return
    leader = next((pod for pod in members if pod.role == "leader"), None)
    worker = next((pod for pod in members if pod.role == "worker"), None)
    if leader and worker:
        pods.check_together(leader, worker, report)
        _same_image(leader, worker, report)
    policy = owner.get("spec", "leaderWorkerTemplate", "restartPolicy")
    if policy is not None and policy.text() in ("None", "Default"):
        fix = Fix("restart the group", (policy.replace("RecreateGroupOnPodRestart"),))
        report.add(RESTART, policy.place, f"restartPolicy {policy.text()} restarts one rank alone", fix)
    startup = owner.get("spec", "startupPolicy")
    if startup is not None and startup.text() == "LeaderReady":
        fix = Fix("use LeaderCreated", (startup.replace("LeaderCreated"),))
        report.add(
            STARTUP_POLICY, startup.place, "LeaderReady waits for a leader that waits for its workers", fix
        )
    annotations = owner.mapping("metadata", "annotations")
    near = any(key.endswith("exclusive-topology") for key in annotations)
    if not near and all(pod.spec.get("affinity") is None for pod in members):
        report.add(TOPOLOGY, owner.value_place, "nothing keeps the ranks of a group near each other")
    if not any(_budgets(each, members) for each in every):
        report.add(BUDGET, owner.value_place, "no PodDisruptionBudget is for these pods")
    for pod in members:
        _claims(pod, every, report)


def _same_image(leader: Pod, worker: Pod, report: Report) -> None:
    for one, other in zip(leader.containers, worker.containers, strict=False):
        if one.image and other.image and one.image != other.image:
            told = f"{other.image} on workers, {one.image} on the leader"
            report.add(containers.DIFFERS, other.image_place, told)


def _budgets(each: Tree, members: list[Pod]) -> bool:
    if each.text("kind") != "PodDisruptionBudget":
        return False
    wanted = each.mapping("spec", "selector", "matchLabels").items()
    return any(wanted <= pod.labels.items() for pod in members)


def _claims(pod: Pod, every: Sequence[Tree], report: Report) -> None:
    for volume in pod.spec.each("volumes"):
        claim = volume.get("persistentVolumeClaim", "claimName")
        if claim is None:
            continue
        found = next(
            (
                each
                for each in every
                if each.text("kind") == "PersistentVolumeClaim"
                and each.text("metadata", "name") == claim.text()
            ),
            None,
        )
        if found is None:
            if pod.role != "worker":
                report.add(
                    CLAIM_UNSEEN, claim.place, f"claim {claim.text()} must be ReadWriteMany; it is not here"
                )
            continue
        modes = [mode.text() for mode in found.each("spec", "accessModes")]
        if not any(mode in _SHARED for mode in modes):
            shown = ", ".join(mode or "" for mode in modes)
            told = f"claim {claim.text()} is {shown}, and ranks on several nodes mount it"
            report.add(CLAIM, claim.place, told, _share(found, claim))


def _share(found: Tree, claim: Tree) -> Fix | None:
    mode = found.get("spec", "accessModes", 0)
    if mode is None or found.source is not claim.source:
        return None
    return Fix("make it ReadWriteMany", (mode.replace("ReadWriteMany"),))


def _service(service: Tree, manifest: Manifest, report: Report) -> None:
    selector = service.get("spec", "selector")
    if selector is None:
        return
    wanted = service.mapping("spec", "selector").items()
    groups = [pod for pod in manifest.pods if pod.owner.text("kind") == LWS and (pod.size or 1) > 1]
    groups = [pod for pod in groups if any(each.engine for each in pod.containers)]
    matching = [pod for pod in groups if wanted <= pod.labels.items()]
    if not matching:
        return
    name = matching[0].owner.text("metadata", "name") or ""
    lines = [f"{LWS_NAME}: {name}", f'{WORKER_INDEX}: "0"']
    missing = [line for line in lines if line.split(": ")[0] not in dict(wanted)]
    edit = selector.append_key(missing)
    fix = Fix("select by what LeaderWorkerSet sets", (edit,)) if edit else None
    if any(pod.role in ("worker", "unknown") for pod in matching) and WORKER_INDEX not in dict(wanted):
        report.add(
            SELECTS_WORKERS,
            selector.place,
            f"this also selects the workers of {name}, which serve nothing",
            fix,
        )
    elif LWS_NAME not in dict(wanted) and WORKER_INDEX not in dict(wanted):
        told = f"select {LWS_NAME}={name} and {WORKER_INDEX}=0: these labels are the template's"
        report.add(LOOSE, selector.place, told, fix)
