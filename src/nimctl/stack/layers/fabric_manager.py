"""Fabric Manager, the NVLink subnet manager and IMEX: what joins GPUs by NVSwitch.

Everything that carries the driver's version has that of the driver on this host's disk: a switch of the
driver takes along what is installed (see ``layers.driver``), and this layer adds what is missing.

Facts and how sure they are: ``nvlink.yml``, ``devices.yml`` and ``driver_packages.yml`` in ``data/stack``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nimctl.description.document import FabricManager
from nimctl.stack.activation import own_kernel
from nimctl.stack.driver_names import FABRIC_BEGINS, row_for, source_of, spelled
from nimctl.stack.exact import exact_versions, package_changes
from nimctl.stack.host import Host
from nimctl.stack.numbers import branch_of, older, upstream
from nimctl.stack.plan import LayerPlan, Question, RefusedError
from nimctl.stack.rows import DriverPackages, NvLink
from nimctl.stack.versions import Source, Versions

LAYER = "fabric_manager"
FIELD = "stack.driver.version"
MANAGER, IMEX = "nvidia-fabricmanager.service", "nvidia-imex.service"
VERSION_FILE = "/proc/driver/nvidia/version"
CONDITIONS = {
    # Boards up to NVLink 4 have the switches on the node; from NVLink 5 on InfiniBand ports manage them.
    MANAGER: "[Unit]\n"
    "ConditionPathExists=|/dev/nvidia-nvswitch0\nConditionPathExistsGlob=|/dev/infiniband/umad*\n",
    IMEX: f"[Unit]\nConditionPathExists={VERSION_FILE}\n",
}
SUBNET_LIBRARIES = {"apt": ("infiniband-diags", "libibumad3"), "dnf": ("infiniband-diags", "libibumad")}
"""What the NVLink subnet manager needs of the distribution (NVIDIA's driver-container repository)."""


def plan(question: Question) -> LayerPlan:
    """What a host needs so that its NVSwitches work. Raises RefusedError, AskError."""
    settings: FabricManager = question.settings
    host = question.host
    tables = question.versions
    if settings.mode == "ignore":
        return LayerPlan(LAYER, {"steps": "ignore"})
    link = nvlink(host, tables)
    imex = _imex(host, tables, settings)
    if settings.install == "always" and link is None:
        raise RefusedError(
            "stack.fabric_manager.install is always, and this node has no NVSwitch (none on PCI, and no "
            "InfiniBand port that manages NVLink): Fabric Manager would not start. Nothing was changed. Use "
            "install: auto, or take the node out"
        )
    if link is None and not imex:
        return LayerPlan(
            LAYER, {"steps": "nothing"}, notes=("This node has no NVSwitch, so it needs no Fabric Manager.",)
        )
    if settings.mode == "verify":
        return _verified(host, link is not None)
    version = _driver_version(question)
    if link is not None:
        _refuse_unfit(host, link, version, tables)
    return _managed(question, link, imex, version)


def nvlink(host: Host, tables: Versions) -> NvLink | None:
    """The NVLink of a host's switches, None where it has none."""
    if any(port.nvlink_manager for port in host.infiniband):
        return tables.nvlink["5"]
    for switch in host.nvswitches:
        number = tables.switches.get(switch.id.rpartition(":")[2])
        if number is not None:
            return tables.nvlink[str(number)]
    return list(tables.nvlink.values())[-1] if host.nvswitches else None


def _imex(host: Host, tables: Versions, settings: FabricManager) -> bool:
    if settings.imex != "auto":
        return settings.imex == "always"
    rows = [tables.device(gpu.id) for gpu in host.gpus]
    return any(row is not None and row.imex for row in rows)


def _driver_version(question: Question) -> str:
    """The driver that is on the host's disk, or will be once the plan before this one is done."""
    before = question.plans.get("driver")
    if before is not None and before.values.get("steps") in ("managed", "switch"):
        return str(before.values["version"])
    driver = question.host.driver
    version = driver.user_space or driver.loaded
    if not version:
        raise RefusedError(
            "this node has no NVIDIA driver, whose version Fabric Manager must have. Nothing was changed. "
            "Run the role nvidia_driver first (stack.driver.mode: managed)"
        )
    return version


def _refuse_unfit(host: Host, link: NvLink, version: str, tables: Versions) -> None:
    branch = branch_of(version)
    if branch < link.first_branch:
        raise RefusedError(
            f"the NVSwitches of this node need driver branch {link.first_branch} or newer, and the driver is "
            f"{version} ({link.source}). Nothing was changed. Set stack.driver.branch"
        )
    if host.driver.flavour and host.driver.flavour not in link.modules:
        raise RefusedError(
            f"the NVSwitches of this node need {' or '.join(link.modules)} kernel modules, and "
            f"{host.driver.flavour} ones are loaded ({link.source}). Nothing was changed. Set "
            "stack.driver.modules: open"
        )
    if link.kernel and host.system.kernel and older(host.system.kernel, link.kernel):
        raise RefusedError(
            f"the kernel is {host.system.kernel}, and {tables.rule('nvlink5-kernel').says}: {link.kernel} or "
            "newer. Nothing was changed. Use the distribution's newer kernel (HWE)"
        )


def _managed(question: Question, link: NvLink | None, imex: bool, version: str) -> LayerPlan:
    host = question.host
    tables = question.versions
    distribution = tables.distribution(host.system.distribution, host.system.version)
    publisher = _publisher(question, tables, branch_of(version))
    row = row_for(tables, publisher, distribution, branch_of(version))
    source = source_of(question, publisher, distribution)
    products = [*(("manager", *link.packages) if link else ()), *(("imex",) if imex else ())]
    tied = [product for product in products if product != "nvlsm"]
    names = spelled(_packaged(row, tied, distribution.name), branch_of(version), version, "")
    versions = exact_versions(question, source, names, version, FIELD)
    subnet = "nvlsm" in products
    loaded = host.driver.loaded
    fits = not loaded or loaded == version or not own_kernel(host)
    return LayerPlan(
        LAYER,
        {
            "steps": "managed",
            "version": version,
            "versions": versions,
            "names": [row.fabric["nvlsm"], *SUBNET_LIBRARIES[distribution.manager]] if subnet else [],
            "hold": list(versions),
            "repositories": [asdict(source)] if source.url else [],
            "load": list(link.kernel_modules) if link else [],
            "options": {"nvidia": {"NVreg_CreateImexChannel0": 1}} if imex else {},
            "units": _units(link is not None, imex, fits),
        },
        will=tuple(package_changes(host, versions, list(versions))),
        pending=()
        if fits
        else (
            f"restart Fabric Manager as {version}: it is installed, and starts once the driver {version} is "
            f"loaded in place of {loaded}",
        ),
    )


def _publisher(question: Question, tables: Versions, branch: int) -> Source:
    """Whose packages the driver is of: those of another build of it do not fit."""
    before = question.plans.get("driver")
    if before is not None and before.values.get("source"):
        return "distribution" if before.values["source"] == "distribution" else "nvidia"
    system = question.host.system
    distribution = tables.distribution(system.distribution, system.version)
    own = row_for(tables, "distribution", distribution, branch) if distribution.own_branches else None
    if own is None:
        return "nvidia"
    names = {name for part in own.dkms.values() for name in spelled(part, branch, "", "")}
    return "distribution" if names & set(question.host.packages) else "nvidia"


def _packaged(row: DriverPackages, products: list[str], distribution: str) -> list[str]:
    fabric: Mapping[str, str] = {str(product): name for product, name in row.fabric.items()}
    missing = [product for product in products if product not in fabric]
    if "manager" in missing or "nvsdm" in missing or "imex" in missing:
        raise RefusedError(
            f"{distribution} has no packages of {', '.join(missing)} by the publisher of this node's driver. "
            "Nothing was changed. Use the driver of NVIDIA's repository (stack.driver.source: nvidia)"
        )
    return [fabric[product] for product in products if product in fabric]


def _units(manager: bool, imex: bool, fits: bool) -> list[dict[str, Any]]:
    """Units for the module ``units``; they are not restarted beside a driver that they do not fit."""
    programs = {MANAGER: "/usr/bin/nv-fabricmanager", IMEX: "/usr/bin/nvidia-imex"}
    wanted = [MANAGER] * manager + [IMEX] * imex
    return [
        {
            "name": unit,
            "enabled": True,
            "state": "started" if fits else "kept",
            "drop_in": CONDITIONS[unit],
            "restart_on": [programs[unit]] if fits else [],
            "disturbs_ranks": True,
        }
        for unit in wanted
    ]


def _verified(host: Host, switched: bool) -> LayerPlan:
    """What differs on a host whose fabric somebody else looks after."""
    found = {
        name: upstream(package.version)
        for name, package in host.packages.items()
        if name.startswith(FABRIC_BEGINS["manager"]) and "dev" not in name
    }
    differs = []
    if switched and not found:
        differs.append("Fabric Manager is not installed")
    loaded = host.driver.loaded
    differs += [
        f"{name} is {version}, and the loaded driver is {loaded}"
        for name, version in found.items()
        if loaded and version != loaded
    ]
    return LayerPlan(LAYER, {"steps": "verify"}, will=tuple(differs))
