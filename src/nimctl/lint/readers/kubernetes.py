"""Kubernetes manifests: pods of every workload, and what stands around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nimctl.lint.containers import Container, MountPoint, Role, Setter, Variable
from nimctl.lint.model import Edit, Source
from nimctl.lint.yamltree import Tree, documents
from nimctl.render.kubernetes.facts import facts

LWS = "LeaderWorkerSet"


@dataclass(eq=False)
class Pod:
    """A pod template: ``owner`` is the object that makes pods of it, ``spec`` its own spec."""

    owner: Tree
    template: Tree
    spec: Tree
    role: Role
    size: int | None
    containers: list[Container] = field(default_factory=list)
    trees: dict[int, Tree] = field(default_factory=dict)

    @property
    def labels(self) -> dict[str, str]:
        """Labels of its pods, those that LeaderWorkerSet adds included."""
        found = self.template.mapping("metadata", "labels")
        if self.owner.text("kind") == LWS:
            found["leaderworkerset.sigs.k8s.io/name"] = self.owner.text("metadata", "name") or ""
            if self.role in ("leader", "single"):
                found["leaderworkerset.sigs.k8s.io/worker-index"] = "0"
        return found

    def tree(self, container: Container) -> Tree:
        """The node of a container."""
        return self.trees[id(container)]


@dataclass(eq=False)
class Manifest:
    """All objects of a file."""

    source: Source
    objects: list[Tree]
    pods: list[Pod] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[Tree]:
        """Objects of a kind."""
        return [each for each in self.objects if each.text("kind") == kind]


def read(source: Source, others: list[Tree] | None = None) -> Manifest:
    """Read a file; ``others`` are objects of other files that its pods may refer to."""
    objects = [each for each in _objects(documents(source)) if each.text("kind")]
    manifest = Manifest(source, objects)
    maps = {
        each.text("metadata", "name"): each
        for each in (*objects, *(others or []))
        if each.text("kind") == "ConfigMap"
    }
    for each in objects:
        for template, spec, role, size in _templates(each):
            pod = Pod(each, template, spec, role, size)
            for tree in spec.each("containers"):
                container = _container(pod, tree, maps)
                pod.containers.append(container)
                pod.trees[id(container)] = tree
            manifest.pods.append(pod)
    return manifest


def _objects(found: list[Tree]) -> Iterator[Tree]:
    for each in found:
        if each.text("kind") == "List":
            yield from each.each("items")
        else:
            yield each


def _templates(each: Tree) -> Iterator[tuple[Tree, Tree, Role, int | None]]:
    """Pod templates of an object: the node with metadata and spec, the spec, and the role of its pods."""
    kind = each.text("kind")
    if kind == LWS:
        group = each.get("spec", "leaderWorkerTemplate")
        if group is None:
            return
        size = group.number("size")
        size = 1 if size is None else size
        leader, worker = group.get("leaderTemplate"), group.get("workerTemplate")
        if leader is not None and (spec := leader.get("spec")):
            yield leader, spec, "leader" if size > 1 else "single", size
        if worker is not None and (spec := worker.get("spec")):
            role: Role = "worker" if leader is not None else "unknown" if size > 1 else "single"
            yield worker, spec, role, size
        return
    paths: dict[str, tuple[str, ...]] = {
        "Pod": (),
        "CronJob": ("spec", "jobTemplate", "spec", "template"),
    }
    template = each.get(*paths.get(kind or "", ("spec", "template")))
    spec = template.get("spec") if template else None
    if template is not None and spec is not None and spec.get("containers"):
        yield template, spec, "unknown", None


def _container(pod: Pod, tree: Tree, maps: dict[str | None, Tree]) -> Container:
    image = tree.get("image")
    resources = tree.get("resources")
    found = Container(
        "kubernetes",
        tree.source,
        tree.value_place,
        image=tree.text("image") or "",
        image_place=image.place if image else tree.value_place,
        role=pod.role,
        size=pod.size,
        group=pod.owner.text("metadata", "name") or "",
    )
    found.words = [
        each.text() or "" for key in ("command", "args") for each in tree.each(key) if each.text() is not None
    ]
    devices = {
        key: value.number() for part in ("limits", "requests") for key, value in tree.items("resources", part)
    }
    found.gpus = devices.get("nvidia.com/gpu") if resources else None
    product = pod.spec.mapping("nodeSelector").get("nvidia.com/gpu.product")
    found.gpu_model = next((name for name, known in facts().gpu_products.items() if known == product), "")
    found.rdma = any(key.startswith("rdma/") or "hostdev" in key or "mlnx" in key for key in devices)
    found.host_network = pod.spec.text("hostNetwork") == "true"
    added = tree.get("securityContext", "capabilities", "add")
    privileged = tree.text("securityContext", "privileged") == "true"
    found.ipc_lock = privileged or bool(added and "IPC_LOCK" in [each.text() for each in added.each()])
    found.add_capability = lambda name: _capability(tree, name)
    _environment(found, tree, maps)
    _mounts(found, pod, tree)
    found.shm = any(mount.target == "/dev/shm" for mount in found.mounts)  # noqa: S108 - where it is
    return found


def _capability(tree: Tree, name: str) -> tuple[Edit, ...]:
    """Add a capability, where the container says nothing about them yet."""
    if tree.get("securityContext") is not None:
        return ()
    edit = tree.append_key(["securityContext:", "  capabilities:", f'    add: ["{name}"]'])
    return (edit,) if edit else ()


def _environment(found: Container, tree: Tree, maps: dict[str | None, Tree]) -> None:
    for each in tree.each("envFrom"):
        name = each.text("configMapRef", "name")
        config = maps.get(name) if name else None
        if config is None:
            found.seen = False
            continue
        for key, value in config.items("data"):
            place = value.place if config.source is tree.source else each.place
            found.variables.append(Variable(key, value.text() or "", "literal", place))
    for each in tree.each("env"):
        found.variables.append(_variable(each))
    listing = tree.get("env")

    def add(name: str, value: str) -> tuple[Edit, ...]:
        edit = listing.append_item(_entry(name, value)) if listing is not None else None
        return (edit,) if edit else ()

    found.add_variable = add if listing is not None and listing.is_block else None


def _entry(name: str, value: str) -> list[str]:
    """The lines of one entry of ``env``; a value ``field:PATH`` comes from the downward API."""
    if value.startswith("field:"):
        path = value.removeprefix("field:")
        return [f"- name: {name}", "  valueFrom:", "    fieldRef:", f'      fieldPath: "{path}"']
    return [f"- name: {name}", f'  value: "{value}"']


def _variable(each: Tree) -> Variable:
    name, value = each.text("name") or "", each.text("value")
    removal = each.remove_entry()
    found = Variable(name, value or "", "literal", each.value_place, (removal,) if removal else ())
    if value is not None and "$(" in value.replace("$$", ""):
        found.origin = "expanded"
    elif value is not None and value.startswith("$"):
        # `$NAME` is no syntax of Kubernetes: the file is a template for envsubst.
        found.origin = "passed"
    elif value is None:
        path = each.text("valueFrom", "fieldRef", "fieldPath")
        secret = each.get("valueFrom", "secretKeyRef") is not None
        found.origin = "field" if path else "secret" if secret else "elsewhere"
        found.value = path or ""
    key = each.get("name")
    if key is not None:
        found.rename = lambda text: (key.replace(text),)
    found.write = _writer(each, name)
    return found


def _writer(each: Tree, name: str) -> Setter:
    def write(value: str) -> tuple[Edit, ...]:
        if not each.is_block:
            return ()
        first, pad = each.value_place[0], " " * (each.indent - 2)
        lines = [pad + line for line in _entry(name, value)]
        old = each.source
        return (
            Edit(old.start(first), old.start(each.last_line + 1), "".join(f"{line}\n" for line in lines)),
        )

    return write


def _mounts(found: Container, pod: Pod, tree: Tree) -> None:
    volumes = {each.text("name"): each for each in pod.spec.each("volumes")}
    for each in tree.each("volumeMounts"):
        target = each.get("mountPath")
        volume = volumes.get(each.text("name"))
        claim = volume.text("persistentVolumeClaim", "claimName") if volume else None
        mount = MountPoint(
            each.text("mountPath") or "",
            f"claim:{claim}" if claim else each.text("name") or "",
            each.text("readOnly") == "true",
            target.place if target else each.place,
        )
        if target is not None:
            mount.retarget = lambda text, target=target: (target.replace(text),)
        found.mounts.append(mount)
