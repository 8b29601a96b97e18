"""What an inventory says about the layers of the host stack: which nodes have them, with which settings.

A layer's group is ``nim_layer_<layer>``: the nodes where it applies, none where its mode is ``ignore``. A
play for a layer targets that group, so that what is off costs nothing. Its settings are variables of the
whole cluster, ``<role>_<field>``; a field that the description leaves open is left to the role's default.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from nimctl.cluster import Cluster, Node
from nimctl.description.document import Storage
from nimctl.stack import versions
from nimctl.stack.layers import LAYERS, ROLES
from nimctl.stack.planning import SETTINGS
from nimctl.stack.versions import Versions

LAYER_GROUPS = tuple(f"nim_layer_{layer}" for layer in LAYERS)
STORAGE_KINDS: Mapping[str, tuple[str, ...]] = {
    "storage_nfs": ("nfs",),
    "storage_lustre": ("lustre",),
    "storage_local": ("existing", "local"),
}
PACKAGED = ("driver", "fabric_manager", "container_toolkit", "rdma", "gpu_direct", "nccl", "storage_lustre")
"""Layers whose packages come from a publisher: they have mirrors, and versions that are locked."""

REBOOTING = ("tuning", "rdma", "driver", "fabric_manager", "gpu_direct")
"""Layers whose changes may take effect only with the next boot."""

_FILES = {("nccl", "topology")}
NVLINK_OF_SUBNET_MANAGER = 5


def layer_variables(
    cluster: Cluster, locked: Mapping[str, Mapping[str, str]], folder: Path
) -> dict[str, Any]:
    """Settings of every layer as literal values; ``folder`` is where relative paths begin."""
    variables: dict[str, Any] = {"nim_reboot_ok": cluster.stack.reboot_ok}
    mirrors = {
        name: {key: value for key, value in (("key", mirror.key), ("url", mirror.url)) if value is not None}
        for name, mirror in sorted(cluster.stack.mirrors.items())
    }
    for layer in LAYERS:
        role = ROLES[layer]
        if layer in SETTINGS:
            for field, value in _literal(getattr(cluster.stack, layer)).items():
                is_file = (layer, field) in _FILES
                variables[f"{role}_{field}"] = str(folder / Path(value).expanduser()) if is_file else value
        else:
            entries = [entry for entry in _entries(cluster, layer) if entry.mode != "ignore"]
            variables[f"{role}_entries"] = [_literal(entry) for entry in entries]
            variables[f"{role}_mode"] = _mode_of(entries)
        if layer in PACKAGED:
            variables[f"{role}_mirrors"] = mirrors
            variables[f"{role}_locked"] = {name: dict(said) for name, said in sorted(locked.items())}
        if layer in REBOOTING:
            variables[f"{role}_reboot_ok"] = cluster.stack.reboot_ok
    return variables


def _literal(settings: BaseModel) -> dict[str, Any]:
    """The fields that are set, as JSON types."""
    return dict(sorted(settings.model_dump(mode="json", exclude_none=True).items()))


def _mode_of(entries: Iterable[Storage]) -> str:
    """Each entry has a mode of its own; a role has something to change where one of them is managed."""
    modes = {entry.mode for entry in entries}
    return "managed" if "managed" in modes else "verify" if modes else "ignore"


def _entries(cluster: Cluster, layer: str) -> list[Storage]:
    return [entry for entry in cluster.storage if entry.kind in STORAGE_KINDS[layer]]


def layer_members(
    cluster: Cluster, with_ranks: Collection[str], tables: Versions | None = None
) -> dict[str, list[str]]:
    """The nodes of each layer's group, in the order of the description."""
    known = tables or versions.load()
    present = [node for node in cluster.nodes if not node.absent]
    members: dict[str, list[str]] = {}
    for layer in LAYERS:
        if layer in SETTINGS:
            off = getattr(cluster.stack, layer).mode == "ignore"
        else:
            off = all(entry.mode == "ignore" for entry in _entries(cluster, layer))
        applies = _Applies(cluster, with_ranks, known)
        members[f"nim_layer_{layer}"] = (
            [] if off else [node.name for node in present if getattr(applies, layer)(node)]
        )
    return members


class _Applies:
    """For each layer, whether it applies to a node; whether it is on is another question."""

    def __init__(self, cluster: Cluster, with_ranks: Collection[str], known: Versions) -> None:
        self._cluster = cluster
        self._stack = cluster.stack
        self._with_ranks = with_ranks
        self._known = known
        self._servers = {entry.server for entry in cluster.storage if entry.kind == "nfs"}

    def tuning(self, node: Node) -> bool:
        return node.gpu_count > 0 or node.name in self._with_ranks

    firewall = storage_local = tuning

    def rdma(self, node: Node) -> bool:
        if self._stack.rdma.soft is not None:
            return True
        return node.fabric is not None and node.fabric.kind in ("infiniband", "roce")

    def driver(self, node: Node) -> bool:
        row = self._cluster.gpu_models.get(node.gpu_model or "")
        return node.gpu_count > 0 and not (row is not None and row.stand_in)

    container_toolkit = driver

    def fabric_manager(self, node: Node) -> bool:
        return self.driver(node) and (
            self._stack.fabric_manager.install == "always"
            or self._stack.fabric_manager.imex == "always"
            or has_nvswitch(self._cluster, node, self._known)
        )

    def gpu_direct(self, node: Node) -> bool:
        return self.driver(node) and (self.rdma(node) or self._stack.gpu_direct.storage)

    def nccl(self, node: Node) -> bool:
        wanted = self._stack.nccl
        return self.driver(node) and bool(wanted.library or wanted.tests or wanted.topology)

    def storage_nfs(self, node: Node) -> bool:
        return True

    storage_lustre = storage_nfs


def has_nvswitch(cluster: Cluster, node: Node, known: Versions) -> bool:
    """Whether NVSwitches join a node's GPUs, or those of its rack."""
    row = cluster.gpu_models.get(node.gpu_model or "")
    if row is None or node.gpu_count == 0:
        return False
    device = known.device_of_model(node.gpu_model or "")
    if device is not None and device.imex:
        return True
    return row.nvswitch and node.gpu_count > 1
