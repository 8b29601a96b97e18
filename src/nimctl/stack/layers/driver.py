"""The NVIDIA driver: one release of everything that carries its version, with modules that fit the GPUs.

``context``: ``locked``, ``mirrors``, ``reboot_ok``, ``drained`` as everywhere. Fabric Manager must have the
driver's version at every point, so that what is installed of it moves in the driver's own transaction, and a
driver is refused for a host with NVSwitches where no Fabric Manager of its version is offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from nimctl.description.document import Driver
from nimctl.stack.activation import Activation, activation, enrolls, own_kernel
from nimctl.stack.driver_names import fabric_there, family, has_family, row_for, source_of, spelled
from nimctl.stack.exact import exact_versions, locked, package_changes
from nimctl.stack.host import Host
from nimctl.stack.numbers import branch_of, upstream
from nimctl.stack.plan import LayerPlan, Question, RefusedError, Repository
from nimctl.stack.rows import Branch, Distribution, DriverPackages, ModuleKind

LAYER = "driver"
FIELD = "stack.driver.version"
UNIT = "nvidia-persistenced.service"
DROP_IN = "[Unit]\nConditionPathExists=/proc/driver/nvidia/version\n"


def plan(question: Question) -> LayerPlan:
    """What a host needs so that its GPUs have a driver. Raises RefusedError, AskError."""
    settings: Driver = question.settings
    host = question.host
    if settings.mode == "ignore":
        return LayerPlan(LAYER, {"steps": "ignore"})
    if not host.gpus:
        return LayerPlan(
            LAYER, {"steps": "nothing"}, notes=("This node has no NVIDIA GPU, so it needs no driver.",)
        )
    tables = question.versions
    generations = tables.generations_of(gpu.id for gpu in host.gpus)
    if settings.mode == "verify":
        return _verified(host, settings)
    distribution = tables.distribution(host.system.distribution, host.system.version)
    branch = _branch(question, distribution, generations)
    kind = tables.choose_modules(branch, generations, settings.modules)
    row = row_for(tables, settings.source, distribution, branch.number)
    source = source_of(question, settings.source, distribution)
    _refuse_foreign(host)
    version = _version(question, branch, row, source, kind)
    if enrolls(question, row, version, settings.build, settings.secure_boot):
        return LayerPlan(
            LAYER,
            {"steps": "enroll", "version": version},
            will=("make a key for modules and ask the firmware to enroll it",),
            cost="reboot",
        )
    return _managed(question, branch, row, source, version, kind)


def _managed(
    question: Question,
    branch: Branch,
    row: DriverPackages,
    source: Repository,
    version: str,
    kind: ModuleKind,
) -> LayerPlan:
    settings: Driver = question.settings
    host = question.host
    names, of_kernel = _names(question, row, branch.number, version, kind)
    versions = exact_versions(question, source, names, version, FIELD)
    along = _fabric(question, row, source, branch.number, version, bool(package_changes(host, versions)))
    how = activation(question, version, kind)
    steps = how.steps
    trial = row.trial[kind] if settings.build == "dkms" and own_kernel(host) else ()
    return LayerPlan(
        LAYER,
        {
            "steps": steps,
            "version": version,
            "branch": branch.number,
            "modules": kind,
            "source": settings.source,
            "versions": {**versions, **along},
            "names": [*of_kernel, *_headers(question, row)],
            "hold": list(versions),
            "family": list(family(host)),
            "repositories": [asdict(source)] if source.url else [],
            "trial": {
                name: versions.get(name, next(iter(versions.values())))
                for name in spelled(trial, branch.number, version, host.system.kernel)
            },
            "kernel": host.system.kernel,
            "load": ["nvidia", "nvidia_uvm"] if own_kernel(host) else [],
            "load_now": not host.driver.nouveau and not host.driver.loaded,
            "units": [_unit(settings.persistence, how)],
        },
        will=_will(host, {**versions, **along}, list(versions), version, kind),
        cost=how.cost,
        pending=how.pending,
        notes=_notes(branch),
    )


def _unit(persistence: bool, how: Activation) -> dict[str, Any]:
    """The persistence daemon for the module ``units``; it starts once the driver that it is of is loaded."""
    wanted = "started" if persistence else "stopped"
    return {
        "name": UNIT,
        "enabled": persistence,
        "state": "kept" if how.pending else wanted,
        "drop_in": DROP_IN if persistence else "",
        "restart_on": ["/usr/bin/nvidia-persistenced"] if persistence and not how.pending else [],
    }


def _branch(question: Question, distribution: Distribution, generations: tuple[str, ...]) -> Branch:
    settings: Driver = question.settings
    tables = question.versions
    if settings.version and settings.branch and branch_of(settings.version) != settings.branch:
        raise RefusedError(
            f"the driver {settings.version} is not of branch {settings.branch}; give one of the two"
        )
    wanted = settings.version or (locked(question, LAYER) if settings.branch is None else None)
    number = branch_of(wanted) if wanted else settings.branch
    branch = (
        tables.branch(number) if number else tables.default_branch(generations, distribution, settings.source)
    )
    own = distribution.own_branches
    if settings.source == "distribution" and branch.number not in own:
        has = ", ".join(map(str, own)) or "none"
        raise RefusedError(
            f"{distribution.name} does not package driver branch {branch.number}; it has {has}. Use "
            "stack.driver.source: nvidia"
        )
    first = distribution.first_branch
    if settings.source == "nvidia" and first and branch.number < first:
        raise RefusedError(
            f"NVIDIA's repository for {distribution.name} begins with branch {first}; {branch.number} is not "
            "in it. Use stack.driver.source: distribution, or another branch"
        )
    return branch


def _version(
    question: Question, branch: Branch, row: DriverPackages, source: Repository, kind: ModuleKind
) -> str:
    """The exact version: as described, as locked, the newest that is known, or what the distribution has."""
    settings: Driver = question.settings
    said = settings.version or locked(question, LAYER)
    if said and branch_of(said) == branch.number:
        return said
    if settings.source == "nvidia":
        if branch.version is None:
            raise RefusedError(
                f"no version of driver branch {branch.number} is known to nimctl; give {FIELD}, or add it to "
                "drivers in a file stack.yml beside the description"
            )
        return branch.version
    name = spelled(row.user_space, branch.number, "", question.host.system.kernel)[0]
    there = question.host.packages.get(name)
    if there is not None and branch_of(there.version) == branch.number:
        return upstream(there.version)
    offered = question.offers.versions(source, [name])[name]
    fitting = [upstream(each) for each in offered if branch_of(each) == branch.number]
    if not fitting:
        raise RefusedError(
            f"none of this node's package sources offers {name} of branch {branch.number} "
            f"(offered: {', '.join(offered[:8]) or 'none'}). Nothing was changed. Are contrib "
            "and non-free, or restricted and multiverse, among its sources?"
        )
    return fitting[0]


def _names(
    question: Question, row: DriverPackages, branch: int, version: str, kind: ModuleKind
) -> tuple[list[str], list[str]]:
    """Packages of the driver's version, and those whose version follows the kernel."""
    settings: Driver = question.settings
    host = question.host
    names = list(row.full[kind]) if settings.packages == "full" else list(row.user_space)
    of_kernel: tuple[str, ...] = ()
    if own_kernel(host) and settings.build == "dkms":
        names += row.dkms[kind]
    elif own_kernel(host):
        if kind not in row.precompiled:
            raise RefusedError(
                f"no precompiled {kind} modules of branch {branch} are known for {host.system.distribution} "
                f"{host.system.version} ({row.source}); use stack.driver.build: dkms"
            )
        of_kernel = row.precompiled[kind]
    kernel = host.system.kernel
    every = list(dict.fromkeys(spelled(names, branch, version, kernel)))
    return every, spelled(of_kernel, branch, version, kernel)


def _fabric(
    question: Question, row: DriverPackages, source: Repository, branch: int, version: str, changes: bool
) -> Mapping[str, str]:
    """What is installed of the fabric, at the driver's version. Raises RefusedError where there is none."""
    host = question.host
    there = [product for product in fabric_there(host) if product in row.fabric]
    names = spelled((row.fabric[name] for name in there), branch, version, host.system.kernel)
    along = exact_versions(question, source, names, version, FIELD)
    switched = bool(host.nvswitches) or any(port.nvlink_manager for port in host.infiniband)
    if switched and changes and "manager" in row.fabric and "manager" not in there:
        manager = spelled([row.fabric["manager"]], branch, version, host.system.kernel)
        exact_versions(question, source, manager, version, FIELD)
    return along


def _headers(question: Question, row: DriverPackages) -> list[str]:
    settings: Driver = question.settings
    system = question.host.system
    if settings.build != "dkms" or system.headers or not own_kernel(question.host):
        return []
    names = spelled(row.headers, 0, "", system.kernel)
    manager = question.versions.distribution(system.distribution, system.version).manager
    own = Repository("distribution", manager, "", "", "")
    missing = [name for name, found in question.offers.versions(own, names).items() if not found]
    if missing:
        newer = ", ".join(kernel for kernel in system.kernels if kernel != system.kernel)
        raise RefusedError(
            f"the running kernel {system.kernel} has no headers here, and no package source of the node "
            f"offers {', '.join(missing)}: DKMS could not build the modules. Nothing was changed. "
            + (
                f"Reboot into another installed kernel ({newer})"
                if newer
                else "Install another kernel and reboot"
            )
            + ", or give the node a source that has them"
        )
    return names


def _refuse_foreign(host: Host) -> None:
    """A driver that no package has brought would be overwritten in part."""
    if host.driver.user_space and host.package_manager and not has_family(host):
        raise RefusedError(
            f"the driver {host.driver.user_space} is there, and no package of this node has brought it (the "
            "installer of NVIDIA, or a container runtime did). Nothing was changed. Uninstall it with "
            "nvidia-uninstall first, or leave it to whoever did it: stack.driver.mode: verify"
        )


def _will(
    host: Host, versions: Mapping[str, str], hold: list[str], version: str, kind: ModuleKind
) -> tuple[str, ...]:
    changes = package_changes(host, versions, hold)
    loaded = host.driver.loaded
    if loaded and loaded != version:
        changes.append(f"load the {kind} modules of {version} in place of {loaded}")
    return tuple(changes)


def _verified(host: Host, settings: Driver) -> LayerPlan:
    """What differs on a host whose driver somebody else looks after."""
    driver = host.driver
    found = driver.loaded or driver.user_space
    differs = []
    if not driver.loaded and own_kernel(host):
        differs.append("no NVIDIA driver is loaded")
    if driver.loaded and driver.user_space and driver.loaded != driver.user_space:
        differs.append(f"the libraries are of driver {driver.user_space}, and {driver.loaded} is loaded")
    if settings.version and found != settings.version:
        differs.append(f"driver {settings.version} is wanted, found {found or 'none'}")
    elif settings.branch and found and branch_of(found) != settings.branch:
        differs.append(f"driver branch {settings.branch} is wanted, found {found}")
    if settings.modules != "auto" and driver.flavour not in ("", settings.modules):
        differs.append(f"{settings.modules} kernel modules are wanted, found {driver.flavour}")
    return LayerPlan(LAYER, {"steps": "verify", "version": found}, will=tuple(differs))


def _notes(branch: Branch) -> tuple[str, ...]:
    if branch.end_of_life is None:
        return ()
    if branch.end_of_life == "past":
        return (f"Driver branch {branch.number} is no longer supported by NVIDIA.",)
    return (f"NVIDIA supports driver branch {branch.number} until {branch.end_of_life}.",)
