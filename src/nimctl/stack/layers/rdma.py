"""RDMA of a node: packages and modules for verbs, and ports that are what the description says.

``inbox`` is the distribution's rdma-core on the kernel's own drivers, ``doca`` NVIDIA's DOCA-OFED. Limits of
locked memory are those of the layer ``tuning``.

Context of its own: ``fabric``, that of the node as the inventory gives it (``kind``, ``rate``, ``ports``,
``hcas``, ``interface``); ``node``, its name in messages.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

from nimctl.description.document import Rdma
from nimctl.stack import ports
from nimctl.stack.exact import exact_versions, locked, package_changes
from nimctl.stack.host import Host
from nimctl.stack.numbers import older, upstream
from nimctl.stack.plan import LayerPlan, Question, RefusedError, Repository
from nimctl.stack.repositories import repository

LAYER = "rdma"
DOCA = "doca-ofed"
OLDEST_IN_PLACE = "2.6.0"
"""First DOCA that can be upgraded in place (documentation of DOCA 3.2.1)."""

PREFERENCES = "/etc/apt/preferences.d/50-nimctl-rdma"
SOFT = "nimctl-rxe.service"
UNIT = f"/etc/systemd/system/{SOFT}"


def plan(question: Question) -> LayerPlan:
    """What a host has of RDMA. Raises RefusedError, AskError."""
    settings: Rdma = question.settings
    host = question.host
    if settings.mode == "ignore":
        return LayerPlan(LAYER, {"steps": "ignore"})
    _refuse_foreign(host, settings)
    fabric = question.context.get("fabric") or {}
    packages = _doca(question) if settings.source == "doca" else _inbox(question)
    changes: list[str] = packages.pop("changes")
    load = _modules(host, fabric, settings)
    new_drivers = settings.source == "doca" and bool(changes)
    found = ports.check(host, fabric, str(question.context.get("node") or "this node"))
    if settings.soft:
        _refuse_soft(host, settings.soft)
    if settings.soft or new_drivers:
        # Soft RoCE stands in for ports, and those of new drivers are there after the boot.
        found = ports.Checked()
    files = [{"path": UNIT, "template": "rxe.service.j2"}] if settings.soft else []
    values: dict[str, Any] = {
        "steps": settings.mode,
        **packages,
        "files": [*packages["files"], *files],
        "load": load,
        # Modules of DOCA do not fit beside the kernel's own that are still loaded.
        "load_now": not new_drivers,
        "units": [{"name": SOFT, "enabled": True, "state": "started", "restart_on": [UNIT]}] if files else [],
        "interface": settings.soft or "",
        "problems": list(found.problems),
        "gid_index": dict(found.gid_index),
    }
    will = list(changes)
    if not host.system.container:
        there = {*host.modules, *host.builtin_modules}
        will += [f"load {name}" for name in load if name not in there]
    pending = ("The drivers of DOCA-OFED are loaded by the next boot.",) if new_drivers else ()
    notes = (*found.notes, *_notes(host, settings))
    return LayerPlan(LAYER, values, tuple(will), "reboot" if new_drivers else "none", pending, notes)


def _refuse_foreign(host: Host, settings: Rdma) -> None:
    """Two RDMA stacks cannot be on one node: what was installed by hand is not taken over or removed."""
    doca = sorted(name for name in host.packages if name.startswith("doca-"))
    old = sorted(name for name in host.packages if name.startswith(("mlnx-ofed", "mlnx-ofa", "ofed-scripts")))
    if old and not doca:
        raise RefusedError(
            f"rdma: MLNX_OFED is installed here ({', '.join(old)}), and neither the distribution's "
            "packages nor "
            "DOCA-OFED go in beside it. Drain the node, remove it with `/usr/sbin/ofed_uninstall.sh "
            "--force`, "
            "reboot, and run this again; or set stack.rdma.mode to verify."
        )
    if doca and settings.source == "inbox" and settings.mode == "managed":
        raise RefusedError(
            f"rdma: DOCA-OFED is installed here ({', '.join(doca)}), and stack.rdma.source is inbox. Set "
            "it to "
            "doca, or set stack.rdma.mode to verify; or drain the node, remove these packages, and reboot."
        )


def _refuse_soft(host: Host, interface: str) -> None:
    names = [each.name for each in host.interfaces]
    if interface not in names:
        raise RefusedError(
            f"rdma: soft RoCE is asked for on {interface}, and this node has no such interface; it has "
            f"{', '.join(names) or 'none'}. Set stack.rdma.soft to one of them."
        )


def _inbox(question: Question) -> dict[str, Any]:
    host, settings = question.host, question.settings
    row = question.versions.rdma_packages.get(host.package_manager)
    if row is None:
        raise RefusedError(
            "rdma: this node has neither apt nor dnf. Set stack.rdma.mode to verify or ignore."
        )
    names = list(row.names)
    if settings.soft:
        names += row.soft
        if host.system.distribution == "ubuntu" and "rdma_rxe" not in host.available_modules:
            names.append(f"linux-modules-extra-{host.system.kernel}")
    missing = [name for name in row.names if name not in host.packages]
    return {
        "names": names,
        "versions": {},
        "repositories": [],
        "files": [],
        "changes": [f"install {name}" for name in missing],
    }


def _doca(question: Question) -> dict[str, Any]:
    """DOCA-OFED at an exact version, and who wins where its repository has what others have as well."""
    host, settings, tables = question.host, question.settings, question.versions
    there = host.packages.get(DOCA)
    if there and older(upstream(there.version), OLDEST_IN_PLACE):
        raise RefusedError(
            f"rdma: {DOCA} {there.version} is installed, and only {OLDEST_IN_PLACE} and newer can be "
            "upgraded in "
            "place. Drain the node, remove the packages doca-*, reboot, and run this again."
        )
    distribution = tables.distribution(host.system.distribution, host.system.version)
    row = tables.doca(settings.version or locked(question, LAYER), distribution)
    mirrors = question.context.get("mirrors") or {}
    source = repository(tables, "doca", distribution, host.system.architecture, mirrors, row.version)
    versions = exact_versions(question, source, [DOCA], row.version, "stack.rdma.version")
    return {
        "names": [],
        "versions": versions,
        "version": row.version,
        "repositories": [asdict(source)],
        "files": _preferences(source, question),
        "changes": package_changes(host, versions, [DOCA]),
    }


def _preferences(source: Repository, question: Question) -> list[dict[str, Any]]:
    """Whose package wins on apt: never DOCA's dkms, and DOCA's mft before that of the CUDA repository.

    Not an exclusion of the other mft: NVLink 5 on DOCA-less nodes depends on it.
    """
    host = urlsplit(source.url).hostname or ""
    mirrors = question.context.get("mirrors") or {}
    others = {urlsplit(str(each.get("url", ""))).hostname for name, each in mirrors.items() if name != "doca"}
    if source.kind != "apt" or host in others:
        return []
    rules = (("dkms", -1), ("mft mft-* kernel-mft-dkms", 900))
    text = "# Written by nimctl; changes are undone by its next run.\n" + "\n".join(
        f"Package: {names}\nPin: origin {host}\nPin-Priority: {priority}\n" for names, priority in rules
    )
    return [{"path": PREFERENCES, "content": text}]


def _modules(host: Host, fabric: Any, settings: Rdma) -> list[str]:
    load = ["ib_uverbs", "rdma_ucm"]
    infiniband = fabric.get("kind") == "infiniband"
    # Diagnostics and the subnet manager of NVLink 5 talk to switches by it.
    if infiniband or any(port.nvlink_manager for port in host.infiniband):
        load.append("ib_umad")
    if infiniband and fabric.get("interface"):
        load.append("ib_ipoib")
    return [*load, "rdma_rxe"] if settings.soft else load


def _notes(host: Host, settings: Rdma) -> tuple[str, ...]:
    notes = []
    if host.tuning.memlock not in ("infinity", "infinity:infinity"):
        notes.append(
            "Services may lock 8 MiB of memory only, unless stack.tuning raises it; ranks get theirs "
            "from their "
            "container."
        )
    if settings.source == "doca" and host.package_manager == "dnf":
        notes.append(
            "The distribution's newer libibverbs conflicts with DOCA's on RHEL 9.8: exclude rdma-core, "
            "libibverbs* "
            "and librdmacm* from its baseos repository there."
        )
    return tuple(notes)
