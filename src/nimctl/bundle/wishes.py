"""Which packages the nodes of a description need, from the planners that decide a run.

Pure but for ``ask``: the same function chooses what goes into a bundle, where ``ask`` looks into
repositories, and checks one before it is used, where ``ask`` looks into the bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nimctl.bundle import archives
from nimctl.cluster import Cluster, Node
from nimctl.errors import NimctlError, RefusedError
from nimctl.run.names import fold
from nimctl.stack import planning
from nimctl.stack.inventory import has_nvswitch
from nimctl.stack.layers import LAYERS
from nimctl.stack.plan import LayerPlan
from nimctl.stack.repositories import Repository
from nimctl.stack.versions import Versions

ALWAYS = {"firewall": ("nftables",)}
"""Packages that a role installs whatever its planner says."""
UNPACKAGED = ("storage_local",)
"""Layers that install nothing, and would ask what is mounted on the node."""
ENROLLING = ("dkms", "mokutil", "openssl")
HOLDING = "python3-dnf-plugin-versionlock"
"""What dnf needs for holding packages at their versions."""

_KEPT = (
    "system",
    "gpus",
    "nvswitches",
    "nics",
    "infiniband",
    "interfaces",
    "available_modules",
    "package_manager",
)

_DRIVER = ("driver", "packages")

Ask = Callable[[Repository, tuple[str, ...]], Mapping[str, list[str]]]


@dataclass(frozen=True, slots=True)
class Questions:
    """What the roles of one kind of node would ask: settings and context by layer, and the engine's packages.

    ``engine_repository`` is docker's own one, None where the distribution has the packages.
    """

    layers: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]]
    engine: tuple[str, ...]
    engine_repository: Repository | None = None


@dataclass
class Wishes:
    """Packages to versions (empty: any), the repositories they come from, and the versions to lock."""

    packages: dict[str, str] = field(default_factory=dict)
    repositories: dict[str, Repository] = field(default_factory=dict)
    locks: dict[str, dict[str, str]] = field(default_factory=dict)
    releases: list[tuple[dict[str, str], list[str]]] = field(default_factory=list)
    """Versions of one release, and patterns of names that belong to it: no other release of these comes."""

    def add(self, names: Mapping[str, str]) -> None:
        """Add packages; a version wins over any."""
        for name, version in names.items():
            if version or name not in self.packages:
                self.packages[name] = version


def bare(probed: Mapping[str, Any], *, own_driver: bool = False) -> dict[str, Any]:
    """A host as if nothing were installed on it, so that a bundle for it is complete.

    With ``own_driver`` the driver stays: that of a vendor's image, which others must fit.
    """
    kept = (*_KEPT, *(_DRIVER if own_driver else ()))
    host = {name: probed[name] for name in kept if name in probed}
    host["system"] = {**host.get("system", {}), "headers": False}
    return host


def described(
    cluster: Cluster, node: Node, distribution: str, architecture: str, kernel: str, tables: Versions
) -> dict[str, Any]:
    """A host as the description has it, where none was recorded. Raises RefusedError."""
    if distribution not in tables.distributions:
        raise RefusedError(
            f"found the distribution {distribution}, expected one of {', '.join(tables.distributions)}"
        )
    row = tables.distributions[distribution]
    device = next((pci for pci, row in tables.devices.items() if node.gpu_model in row.models), None)
    if node.gpu_count and device is None and not _stand_in(cluster, node):
        raise RefusedError(
            f"{node.name}: the PCI device of the GPU {node.gpu_model} is not known; record the node with "
            "--hosts"
        )
    gpus = [
        {"address": f"0000:{number:02x}:00.0", "id": f"10de:{device}"}
        for number in range(node.gpu_count if device else 0)
    ]
    switches = [{"address": "0000:ff:00.0", "id": f"10de:{next(iter(tables.switches), '22a3')}"}]
    return {
        "system": {
            "distribution": row.ids[0],
            "version": str(row.version),
            "codename": archives.codename(distribution),
            "architecture": architecture,
            "kernel": kernel,
            "kernels": [kernel] if kernel else [],
            "systemd": True,
        },
        "gpus": gpus,
        "nvswitches": switches if has_nvswitch(cluster, node, tables) else [],
        "package_manager": row.manager,
    }


def _stand_in(cluster: Cluster, node: Node) -> bool:
    row = cluster.gpu_models.get(node.gpu_model or "")
    return row is not None and row.stand_in


def wishes_of(
    nodes: list[str], probed: Mapping[str, Any], questions: Questions, ask: Ask, tables: Versions
) -> Wishes:
    """What some equal nodes need. Raises RefusedError with every layer that cannot be had."""
    wishes = Wishes()
    wishes.add(dict.fromkeys(questions.engine, ""))
    if questions.engine_repository is not None:
        wishes.repositories[questions.engine_repository.id] = questions.engine_repository
    plans: dict[str, LayerPlan] = {}
    refused = []
    for layer in LAYERS:
        if layer not in questions.layers or layer in UNPACKAGED:
            continue
        settings, context = questions.layers[layer]
        if settings.get("mode") in ("verify", "ignore"):
            continue
        try:
            _kernel_is_known(layer, settings, probed)
            plan = planning.ask_until_planned(
                layer, probed, settings, context, ask, plans=plans, tables=tables
            )
        except NimctlError as error:
            refused.append(f"{fold(nodes)}: {layer}: {error}")
            continue
        plans[layer] = plan
        _collect(layer, plan, settings, probed, wishes)
    if refused:
        raise RefusedError("\n".join(refused))
    return wishes


def _collect(
    layer: str, plan: LayerPlan, settings: Mapping[str, Any], probed: Mapping[str, Any], wishes: Wishes
) -> None:
    values = plan.values
    names = [*(values.get("names") or []), *(values.get("packages") or []), *ALWAYS.get(layer, ())]
    if settings.get("secure_boot") == "enroll":
        names += ENROLLING
    if values.get("versions") and probed.get("package_manager") == "dnf":
        names.append(HOLDING)
    versions = dict(values.get("versions") or {})
    wishes.add({**dict.fromkeys(names, ""), **versions})
    if versions:
        wishes.releases.append((versions, list(values.get("family") or [])))
    for given in values.get("repositories") or []:
        wishes.repositories[given["id"]] = Repository(**given)
    if values.get("version"):
        wishes.locks[layer] = {"version": str(values["version"])}


def _kernel_is_known(layer: str, settings: Mapping[str, Any], probed: Mapping[str, Any]) -> None:
    """Modules that are built on a node need the headers of its kernel."""
    builds = layer == "driver" and settings.get("build", "dkms") == "dkms"
    system = probed.get("system") or {}
    if builds and not system.get("kernel") and not system.get("container"):
        raise RefusedError(
            "its modules are built for the kernel of the nodes, and that is not known: give --kernel (what "
            "uname -r says there), or record the nodes with --hosts"
        )
