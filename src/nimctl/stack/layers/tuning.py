"""Limits and kernel settings of a node that runs ranks.

Which numbers, and why, is the table ``tuning``. Floors are raised only where the value is lower. A container
has its limits and most settings from the kernel below it, so that there only what is its own is changed.

Context of its own: ``drained``, whether PCIe may be changed now; without it that waits for the next boot.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nimctl.description.document import Tuning
from nimctl.stack.host import Host
from nimctl.stack.plan import Cost, LayerPlan, Question
from nimctl.stack.rows import Setting

LAYER = "tuning"
HUGEPAGES = "vm.nr_hugepages"
GOVERNOR = "nimctl-cpu-governor.service"
ACS = "nimctl-acs.service"
ACS_SCRIPT = "/usr/local/libexec/nimctl/acs-off"
UNITS = "/etc/systemd/system/"
LOGIND = "/etc/systemd/logind.conf.d/50-nimctl.conf"
SERVICES = "/etc/systemd/system.conf.d/50-nimctl.conf"
LOGINS = "/etc/security/limits.d/50-nimctl.conf"
PASSTHROUGH = "iommu=pt"


def plan(question: Question) -> LayerPlan:
    """What a host needs of limits and settings; refuses nothing."""
    settings: Tuning = question.settings
    if settings.mode == "ignore":
        return LayerPlan(LAYER, {"steps": "ignore"})
    host, table = question.host, question.versions.tuning
    floors, exact = _settings(settings, table)
    disable = settings.acs == "disable"
    passthrough = settings.iommu == "passthrough"
    # Bridges are changed under nobody: a process that has a GPU open may be sending through them.
    quiet = bool(question.context.get("drained")) or not host.driver.users
    acs_now = disable and bool(host.tuning.acs)
    values: dict[str, Any] = {
        "steps": settings.mode,
        "floors": floors,
        "exact": exact,
        # Not every kernel is built with each of ours; what the description names has to exist.
        "optional": sorted(set(table) - set(settings.sysctls)),
        "files": _files(host, settings, table),
        "units": list(_units(settings, quiet)),
        "packages": ["pciutils"] if disable else [],
        "arguments": [PASSTHROUGH] if passthrough else [],
    }
    translated = host.tuning.iommu == "translated" and not host.system.container
    pending = []
    if acs_now and not quiet:
        pending.append(
            f"PCIe access control is turned off at the next boot: GPUs are in use ({_users(host)}), and "
            "their traffic may be on the way. To have it now, drain the node and run this again."
        )
    if passthrough and translated:
        pending.append(f"{PASSTHROUGH} is on the kernel command line from the next boot on.")
    cost: Cost = "reboot" if passthrough and translated else "drain" if acs_now and not quiet else "none"
    will = tuple(_differences(question, floors, exact))
    return LayerPlan(
        LAYER, values, will, cost if will else "none", tuple(pending), tuple(_notes(host, settings))
    )


def _settings(settings: Tuning, table: Mapping[str, Setting]) -> tuple[dict[str, int], dict[str, str]]:
    """Floors and exact values by kernel setting; what the description names wins over the table."""
    floors = {name: row.floor for name, row in table.items() if row.floor is not None}
    exact = {
        name: row.value
        for name, row in table.items()
        if row.value is not None and name not in settings.sysctls
    }
    floors |= settings.sysctls
    if settings.hugepages:
        floors[HUGEPAGES] = max(settings.hugepages, floors.get(HUGEPAGES, 0))
    return dict(sorted(floors.items())), dict(sorted(exact.items()))


def _files(host: Host, settings: Tuning, table: Mapping[str, Setting]) -> list[dict[str, Any]]:
    """Entries for ``managed_files``."""
    limits = {name: (row.limit or "").split(":") for name, row in table.items() if row.limit}
    services = "".join(f"DefaultLimit{name.upper()}={':'.join(each)}\n" for name, each in limits.items())
    head = "# Written by nimctl; changes are undone by its next run.\n"
    files: list[dict[str, Any]] = [
        # Without it, what a rank shares between its processes goes when its user's last login ends.
        {"path": LOGIND, "content": f"{head}[Login]\nRemoveIPC=no\n"},
        {"path": SERVICES, "content": f"{head}[Manager]\n{services}"},
    ]
    # A login that may not have its limits is refused as a whole, and few containers may raise any.
    if not host.system.container:
        lines = "".join(
            f"{who} {kind} {name} {'unlimited' if value == 'infinity' else value}\n"
            for name, each in limits.items()
            # The star does not mean root (limits.conf(5)).
            for who in ("*", "root")
            for kind, value in zip(("soft", "hard"), each, strict=True)
        )
        files.append({"path": LOGINS, "content": head + lines})
    if settings.governor == "performance":
        files.append({"path": UNITS + GOVERNOR, "template": "cpu-governor.service.j2"})
    if settings.acs == "disable":
        files.append({"path": UNITS + ACS, "template": "acs.service.j2"})
        files.append({"path": ACS_SCRIPT, "template": "acs-off.sh.j2"})
    return files


def _units(settings: Tuning, quiet: bool) -> Iterator[dict[str, Any]]:
    """Entries for ``units``."""
    yield {"name": "systemd-logind.service", "restart_on": [LOGIND]}
    if settings.governor == "performance":
        yield _own(GOVERNOR, "started")
    if settings.acs == "disable":
        yield _own(ACS, "started" if quiet else "kept")


def _own(name: str, state: str) -> dict[str, Any]:
    return {"name": name, "enabled": True, "state": state, "restart_on": [UNITS + name]}


def _differences(question: Question, floors: Mapping[str, int], exact: Mapping[str, str]) -> Iterator[str]:
    """What a run would change, as far as the probe can tell."""
    host, settings, table = question.host, question.settings, question.versions.tuning
    live, contained = host.tuning.sysctls, bool(host.system.container)
    wanted = {**{name: str(floor) for name, floor in floors.items()}, **exact}
    for name, value in wanted.items():
        row = table.get(name)
        if name not in live or (contained and not (row and row.namespaced)):
            continue
        lower = name in floors and live[name].isdigit() and int(live[name]) < int(value)
        if lower or (name in exact and live[name] != value):
            unit = f" {row.unit}" if row and row.floor is not None else ""
            yield f"set {name} from {live[name]} to {value}{unit}"
    if host.tuning.memlock not in ("infinity", "infinity:infinity"):
        yield f"let services lock all memory (now {host.tuning.memlock or '8 MiB, the default of systemd'})"
    if host.tuning.remove_ipc is not False:
        yield "keep shared memory of users that log out (RemoveIPC=no)"
    if contained:
        return
    if host.tuning.limits.get("hard memlock") != "unlimited":
        yield "let logins lock all memory"
    if settings.governor == "performance" and host.tuning.governor not in ("", "performance"):
        yield f"set the CPU governor from {host.tuning.governor} to performance"
    if settings.acs == "disable" and host.tuning.acs:
        yield f"turn PCIe access control off above GPUs and HCAs ({', '.join(host.tuning.acs)} have it on)"
    if settings.iommu == "passthrough" and host.tuning.iommu == "translated":
        yield f"add {PASSTHROUGH} to the kernel command line"


def _notes(host: Host, settings: Tuning) -> Iterator[str]:
    """What is reported and not changed."""
    found = host.tuning
    if found.acs and settings.acs == "report":
        yield (
            f"PCIe access control is on at {', '.join(found.acs)}: traffic between a GPU and an HCA below "
            "goes up to the root and back. On a machine without virtual machines set stack.tuning.acs to "
            "disable."
        )
    if found.iommu == "translated" and settings.iommu == "report":
        yield (
            "The IOMMU translates every access of devices to memory, which costs bandwidth. Set "
            "stack.tuning.iommu to passthrough, which needs a reboot."
        )
    if found.transparent_hugepages == "never":
        yield "Transparent hugepages are off (never); madvise or always helps processes with much memory."
    if "tuned" in host.packages and settings.governor == "performance":
        yield "The package tuned is installed and may set the CPU governor back; choose one of the two."
    if host.system.container:
        yield (
            f"This node is a container ({host.system.container}): settings of the kernel, limits of logins "
            "and the CPU governor are those of the machine below."
        )


def _users(host: Host) -> str:
    names = {host.driver.user_names.get(str(pid), f"process {pid}") for pid in host.driver.users}
    return ", ".join(sorted(names))
