"""Objects as a tree of files that ``kubectl apply -k`` and an overlay take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nimctl.render.files import header
from nimctl.yamltext import write

Objects = list[dict[str, Any]]
"""Kubernetes objects, in the order in which they are to be created."""

KUSTOMIZATION = "kustomization.yaml"
STORAGE = "storage.yaml"


@dataclass(frozen=True, slots=True)
class Folder:
    """The objects of one deployment."""

    name: str
    objects: Objects


def tree(
    cluster: str, namespace: str, folders: Sequence[Folder], shared: Objects, head: Sequence[str]
) -> dict[str, str]:
    """Every file by path: one object in each, objects of several deployments in ``storage.yaml``."""
    top = header(cluster, *head)
    files: dict[str, str] = {}
    resources = []
    if shared:
        files[STORAGE] = top + "---\n".join(write(each) for each in shared)
        resources.append(STORAGE)
    for folder in folders:
        names = []
        for each in folder.objects:
            name = _file_name(each, folder)
            names.append(name)
            files[f"{folder.name}/{name}"] = top + write(each)
        files[f"{folder.name}/{KUSTOMIZATION}"] = top + write(_kustomization(names))
        resources.append(folder.name)
    files[KUSTOMIZATION] = top + write({**_kustomization(resources), "namespace": namespace})
    return dict(sorted(files.items()))


def _kustomization(resources: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": resources,
    }


def _file_name(each: dict[str, Any], folder: Folder) -> str:
    """``service.yaml``; with the object's name where the folder has several of a kind."""
    kind = each["kind"].lower()
    alike = [other for other in folder.objects if other["kind"] == each["kind"]]
    return f"{kind}.yaml" if len(alike) == 1 else f"{kind}-{each['metadata']['name']}.yaml"
