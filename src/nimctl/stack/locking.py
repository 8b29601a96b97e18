"""Which versions of the host stack a lock holds, and what it means to move one.

A run locks what its planners chose. A locked version applies as long as the description asks for nothing
else: another branch or version there is a new wish, as another image tag is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from nimctl.cluster import Cluster
from nimctl.lock import Attachment, Lock
from nimctl.run.names import fold
from nimctl.stack import versions
from nimctl.stack.inventory import layer_members
from nimctl.stack.numbers import branch_of
from nimctl.stack.versions import Versions

Locked = Mapping[str, Mapping[str, str]]

LOCKED_LAYERS = ("driver", "container_toolkit", "rdma", "nccl")
"""Layers that have a version of their own; Fabric Manager has the driver's."""


def still_locked(cluster: Cluster, locked: Locked) -> dict[str, dict[str, str]]:
    """The locked versions that are still what the description asks for."""
    return {
        layer: dict(said) for layer, said in locked.items() if _still_wanted(cluster, layer, said["version"])
    }


def _still_wanted(cluster: Cluster, layer: str, version: str) -> bool:
    settings = getattr(cluster.stack, layer, None)
    if layer not in LOCKED_LAYERS or settings is None or settings.mode != "managed":
        return False
    if settings.version is not None:
        return bool(settings.version == version)
    branch = getattr(settings, "branch", None)
    return branch is None or branch == branch_of(version)


def wanted(cluster: Cluster, layer: str, before: str | None, tables: Versions) -> str | None:
    """The version that description and tables ask for; None where only a host can tell.

    Without a branch in the description the driver stays in the branch that is locked: a distribution may
    not have another.
    """
    settings = getattr(cluster.stack, layer)
    if settings.version is not None:
        return str(settings.version)
    if layer == "driver":
        branch = settings.branch or (branch_of(before) if before else None)
        return tables.branch(branch).version if branch else None
    if before is None:
        return None
    if layer == "container_toolkit":
        return tables.toolkit().version
    if layer == "nccl":
        return tables.nccl().version
    # Which DOCA-OFED there is depends on the distribution: only the description moves it from here.
    return before


def moved(
    cluster: Cluster, before: Locked, upgrade: frozenset[str], tables: Versions | None = None
) -> dict[str, dict[str, str]]:
    """The versions of a lock after what may move has moved. Raises RefusedError for an unknown branch."""
    known = tables or versions.load()
    kept = still_locked(cluster, before)
    after = {layer: said for layer, said in kept.items() if layer not in upgrade}
    for layer in LOCKED_LAYERS:
        was = before.get(layer, {}).get("version")
        if layer in after or getattr(cluster.stack, layer).mode != "managed":
            continue
        if layer not in upgrade and was is None:
            continue
        version = wanted(cluster, layer, was, known)
        if version is not None:
            after[layer] = {"version": version}
    return after


def chosen(
    plans: Mapping[str, Mapping[str, Mapping[str, object]]],
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The version of each layer that all nodes have chosen, and notes on layers where they differ.

    ``plans`` has for each node its layers' plans, each with ``version`` (empty where it chose none).
    """
    found: dict[str, dict[str, list[str]]] = {}
    for node, layers in plans.items():
        for layer, plan in layers.items():
            version = str(plan.get("version") or "")
            if layer in LOCKED_LAYERS and version:
                found.setdefault(layer, {}).setdefault(version, []).append(node)
    notes = [
        f"stack {layer}: not locked, because the nodes chose different versions "
        f"({', '.join(f'{fold(nodes)}: {version}' for version, nodes in sorted(versions.items()))})"
        for layer, versions in found.items()
        if len(versions) > 1
    ]
    agreed = {layer: {"version": next(iter(said))} for layer, said in found.items() if len(said) == 1}
    return agreed, notes


def with_stack(lock: Lock, versions: Locked) -> Lock:
    """A lock with versions added; those that it has stay."""
    return replace(lock, stack={**versions, **lock.stack})


def attachments(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Attachment]:
    """What nodes have found of their fabric: the results of ``stack_plan`` by node."""
    found = {node: result.get("fabric") or {} for node, result in results.items()}
    return {
        node: Attachment(tuple(said.get("hcas") or ()), str(said.get("interface") or ""))
        for node, said in found.items()
        if said
    }


def meaning(
    cluster: Cluster, with_ranks: frozenset[str], layer: str, before: str | None, after: str | None
) -> list[str]:
    """What moving a version costs, in sentences; the next run does it, node by node."""
    if before is None or after is None or before == after:
        return []
    members = layer_members(cluster, with_ranks)
    nodes = members[f"nim_layer_{layer}"]
    if not nodes:
        return []
    return _MEANINGS[layer](cluster, members, fold(nodes), before, after)


def _driver(
    cluster: Cluster, members: Mapping[str, list[str]], nodes: str, before: str, after: str
) -> list[str]:
    lines = [
        f"{nodes}: drain; the kernel modules of {after} take the place of those of {before}, by a reboot "
        "where something still holds them"
        + ("" if cluster.stack.reboot_ok else " (stack.reboot_ok is false: what needs one is listed)")
    ]
    switched = members["nim_layer_fabric_manager"]
    if switched:
        lines.append(f"{fold(switched)}: Fabric Manager follows to {after}, in the same step")
    if branch_of(before) != branch_of(after):
        lines.append(f"{nodes}: from branch {branch_of(before)} to {branch_of(after)}")
    toolkit = members["nim_layer_container_toolkit"]
    if toolkit:
        lines.append(f"{fold(toolkit)}: the CDI specification is written anew")
    return lines


def _toolkit(
    cluster: Cluster, members: Mapping[str, list[str]], nodes: str, before: str, after: str
) -> list[str]:
    return [f"{nodes}: the CDI specification is written anew; ranks keep running until they start again"]


def _rdma(
    cluster: Cluster, members: Mapping[str, list[str]], nodes: str, before: str, after: str
) -> list[str]:
    return [f"{nodes}: drain; the RDMA drivers are loaded anew, by a reboot where something still holds them"]


def _nccl(
    cluster: Cluster, members: Mapping[str, list[str]], nodes: str, before: str, after: str
) -> list[str]:
    return [f"{nodes}: the library on the node changes; containers bring their own"]


_MEANINGS: Mapping[str, Callable[[Cluster, Mapping[str, list[str]], str, str, str], list[str]]] = {
    "driver": _driver,
    "container_toolkit": _toolkit,
    "rdma": _rdma,
    "nccl": _nccl,
}
