"""What does not fit together across the layers of one host, before the first change.

Each planner answers for its own layer. Here the answers are laid side by side, with what is on the host
where a layer is only checked or left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from nimctl.errors import RefusedError
from nimctl.stack.host import Host
from nimctl.stack.numbers import branch_of, older, upstream
from nimctl.stack.plan import LayerPlan
from nimctl.stack.rows import Branch, Distribution, ModuleKind, Rule
from nimctl.stack.versions import Versions

FABRIC_MANAGERS = ("nvidia-fabricmanager", "nvidia-fabric-manager")
ENGINES: Mapping[str, tuple[str, ...]] = {"docker": ("docker-ce", "docker.io"), "podman": ("podman",)}


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two things that do not fit: what, why, where that is known from, and what to do."""

    layer: str
    what: str
    why: str
    source: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.layer}: {self.what}, but {self.why} ({self.source}). {self.remedy}"


@dataclass(frozen=True)
class _Facts:
    """What the host will have: of a managed layer what its plan says, of another what is there."""

    host: Host
    settings: Mapping[str, Any]
    plans: Mapping[str, LayerPlan]
    tables: Versions

    def managed(self, layer: str) -> bool:
        return layer in self.settings and getattr(self.settings[layer], "mode", "managed") == "managed"

    @cached_property
    def generations(self) -> tuple[str, ...]:
        return self.tables.generations_of(gpu.id for gpu in self.host.gpus)

    @cached_property
    def driver(self) -> str:
        """The driver's version; empty where there will be none, or where its planner refused."""
        if self.managed("driver"):
            return str(self.plans["driver"].values.get("version") or "") if "driver" in self.plans else ""
        return self.host.driver.loaded or self.host.driver.user_space

    @cached_property
    def branch(self) -> Branch | None:
        return self.tables.drivers.get(str(branch_of(self.driver))) if self.driver else None

    @cached_property
    def modules(self) -> str:
        """The kind of kernel modules; empty where it cannot be told."""
        if not self.managed("driver"):
            return self.host.driver.flavour
        planned = self.plans["driver"].values.get("modules") if "driver" in self.plans else None
        if planned in ("open", "proprietary"):
            return str(planned)
        wanted = self.settings["driver"].modules
        if self.branch is None:
            return ""
        kinds: tuple[ModuleKind, ...] = self.tables.module_kinds(self.branch, self.generations)
        return wanted if wanted != "auto" else next(iter(kinds), "")

    @cached_property
    def fabric_manager(self) -> str:
        """The version of Fabric Manager, empty without one."""
        if self.managed("fabric_manager"):
            plan = self.plans.get("fabric_manager")
            return str(plan.values.get("version") or "") if plan is not None else ""
        return next(
            (
                upstream(package.version)
                for name, package in self.host.packages.items()
                if name.startswith(FABRIC_MANAGERS) and "dev" not in name
            ),
            "",
        )

    @cached_property
    def distribution(self) -> Distribution | None:
        try:
            return self.tables.distribution(self.host.system.distribution, self.host.system.version)
        except RefusedError:
            return None

    @property
    def backports(self) -> bool:
        """Whether the kernel's number says little: the RHEL family takes drivers of newer ones into it."""
        return self.distribution is not None and self.distribution.manager == "dnf"

    @property
    def nvlink5(self) -> bool:
        devices = (self.tables.device(gpu.id) for gpu in self.host.gpus)
        return any(device is not None and device.nvlink >= 5 and device.switched for device in devices)


def conflicts(
    host: Host, settings: Mapping[str, Any], plans: Mapping[str, LayerPlan], tables: Versions
) -> tuple[Conflict, ...]:
    """Everything that does not fit on a host.

    ``settings`` has each layer's model from a description, ``plans`` those layers' plans that were not
    refused; a layer of which nothing is said is as it is on the host.
    """
    facts = _Facts(host, settings, plans, tables)
    return tuple(conflict for check in CHECKS for conflict in check(facts))


def _conflict(layer: str, what: str, rule: Rule, remedy: str) -> Conflict:
    minimum = f" ({rule.minimum})" if rule.minimum else ""
    return Conflict(layer, what, rule.says + minimum, rule.source, remedy)


def _driver_and_gpus(facts: _Facts) -> Iterator[Conflict]:
    """Driver branch x GPU generation x kind of modules."""
    if facts.branch is None or not facts.managed("driver"):
        return
    wanted = facts.modules if facts.modules in ("open", "proprietary") else "auto"
    # mypy does not see that the line above leaves these three words only.
    why = facts.tables.why_not(facts.branch, facts.generations, wanted)  # type: ignore[arg-type]
    if why:
        others = facts.tables.branches_for(facts.generations, facts.distribution)
        instead = f"Set stack.driver.branch to {others[0].number}" if others else "Put them on nodes apart"
        yield Conflict(
            "driver",
            f"the node's GPUs are of {', '.join(facts.generations)} and driver {facts.driver} is wanted",
            why,
            f"branch {facts.branch.number}: {facts.branch.evidence}",
            f"{instead}, and stack.driver.modules to auto.",
        )


def _fabric_manager_and_driver(facts: _Facts) -> Iterator[Conflict]:
    if not facts.driver or not facts.fabric_manager or not _is_switched(facts):
        return
    if upstream(facts.fabric_manager) != upstream(facts.driver):
        remedy = "Let both be managed, or set stack.driver.version to the version of Fabric Manager."
        if facts.managed("fabric_manager"):
            remedy = "Set stack.driver.version to one that the repository has of both."
        yield _conflict(
            "fabric_manager",
            f"Fabric Manager is {upstream(facts.fabric_manager)} and the driver {upstream(facts.driver)}",
            facts.tables.rule("fabric-manager-equals-driver"),
            remedy,
        )


def _is_switched(facts: _Facts) -> bool:
    return bool(facts.host.nvswitches) or facts.nvlink5


def _nvlink5(facts: _Facts) -> Iterator[Conflict]:
    """Open modules from 570 on; a kernel from 5.17 on."""
    if not facts.nvlink5:
        return
    row = facts.tables.nvlink["5"]
    if facts.branch is not None and (
        facts.branch.number < row.first_branch or facts.modules not in ("", *row.modules)
    ):
        yield _conflict(
            "driver",
            f"the GPUs have NVLink 5 and driver {facts.driver} is wanted with {facts.modules} modules",
            facts.tables.rule("nvlink5-driver"),
            "Set stack.driver.branch to 580 and stack.driver.modules to open.",
        )
    floor = facts.tables.rule("nvlink5-kernel")
    kernel = facts.host.system.kernel
    if kernel and not facts.backports and older(kernel, floor.minimum or "0"):
        yield _conflict(
            "fabric_manager",
            f"the GPUs have NVLink 5 and kernel {kernel} runs",
            floor,
            "Boot a newer kernel, such as Ubuntu 22.04's linux-generic-hwe-22.04, before this run.",
        )


def _cdi_and_engine(facts: _Facts) -> Iterator[Conflict]:
    """A specification that the container engine can read."""
    plan = facts.plans.get("container_toolkit")
    if plan is None or not facts.managed("container_toolkit") or plan.values.get("flags"):
        return
    version = str(plan.values.get("version") or "")
    if not version:
        return
    toolkit = facts.tables.toolkit(version)
    for engine, packages in ENGINES.items():
        found = next(
            (facts.host.packages[name].version for name in packages if name in facts.host.packages), ""
        )
        floor = facts.tables.cdi_floor(toolkit, engine)
        if found and floor and older(found, floor):
            yield _conflict(
                "container_toolkit",
                f"toolkit {version} writes CDI {toolkit.cdi}, which {engine} reads from {floor} on, and "
                f"{engine} {upstream(found)} is installed",
                facts.tables.rule("cdi-version"),
                "Set stack.container_engine.source to docker for a newer engine, or "
                "stack.container_toolkit.version to 1.19.0.",
            )


def _gpu_direct_storage(facts: _Facts) -> Iterator[Conflict]:
    """nvidia-fs needs open modules and no Secure Boot."""
    if not facts.managed("gpu_direct") or not facts.settings["gpu_direct"].storage:
        return
    if facts.modules == "proprietary":
        yield _conflict(
            "gpu_direct",
            "GPUDirect Storage is wanted and the driver has proprietary modules",
            facts.tables.rule("gds-open-modules"),
            "Set stack.driver.modules to open, or stack.gpu_direct.storage to false.",
        )
    if facts.host.system.secure_boot:
        yield _conflict(
            "gpu_direct",
            "GPUDirect Storage is wanted and Secure Boot is on",
            facts.tables.rule("gds-secure-boot"),
            "Turn Secure Boot off in the firmware, or set stack.gpu_direct.storage to false.",
        )


def _dma_buf(facts: _Facts) -> Iterator[Conflict]:
    if not facts.managed("gpu_direct") or facts.settings["gpu_direct"].method != "dma-buf":
        return
    remedy = "Set stack.gpu_direct.method to auto or peermem."
    if facts.modules == "proprietary":
        rule = facts.tables.rule("dma-buf-open-modules")
        yield _conflict(
            "gpu_direct", "DMA-BUF is wanted and the driver has proprietary modules", rule, remedy
        )
    floor = facts.tables.rule("dma-buf-kernel")
    kernel = facts.host.system.kernel
    if kernel and not facts.backports and older(kernel, floor.minimum or "0"):
        yield _conflict("gpu_direct", f"DMA-BUF is wanted and kernel {kernel} runs", floor, remedy)


def _doca_and_distribution(facts: _Facts) -> Iterator[Conflict]:
    if not facts.managed("rdma") or facts.settings["rdma"].source != "doca" or facts.distribution is None:
        return
    try:
        facts.tables.doca(facts.settings["rdma"].version, facts.distribution)
    except RefusedError as refused:
        rule = facts.tables.rule("doca-distribution")
        yield Conflict("rdma", "DOCA-OFED is wanted", str(refused), rule.source, "See stack.rdma.")


def _precompiled(facts: _Facts) -> Iterator[Conflict]:
    """Prebuilt modules that do not exist for this distribution, source and kind."""
    if not facts.managed("driver") or facts.settings["driver"].build != "precompiled":
        return
    if facts.distribution is None or not facts.modules:
        return
    source = facts.settings["driver"].source
    ubuntu = "ubuntu" in facts.distribution.ids and source == "distribution"
    rhel = facts.distribution.manager == "dnf" and source == "nvidia" and facts.modules == "proprietary"
    if not ubuntu and not rhel:
        yield _conflict(
            "driver",
            f"prebuilt {facts.modules} modules for {facts.distribution.name} are wanted "
            f"{'from NVIDIA' if source == 'nvidia' else 'from the distribution'}",
            facts.tables.rule("precompiled-modules"),
            "Set stack.driver.build to dkms.",
        )


CHECKS: tuple[Callable[[_Facts], Iterator[Conflict]], ...] = (
    _driver_and_gpus,
    _fabric_manager_and_driver,
    _nvlink5,
    _cdi_and_engine,
    _gpu_direct_storage,
    _dma_buf,
    _doca_and_distribution,
    _precompiled,
)
