"""Lustre: the client, LNet on the node's fabric, and the mounts.

The modules come as packages of one kernel, or are built by DKMS. Whamcloud signs no packages, so they come
from a mirror of the site (``lustre``), or are there already. The mirror has one folder for each distribution,
such as ``ubuntu-24.04``, with the key as ``lustre.asc`` in it.

Context of its own: ``fabric`` and ``address`` of the node. Names of packages are those of Whamcloud's
builds; none of it was run on a real Lustre.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from nimctl.description.document import Storage
from nimctl.stack.exact import exact_versions, locked, package_changes
from nimctl.stack.host import Host, Mount
from nimctl.stack.lnet import PORT, configuration, interface_of, nids, same_source
from nimctl.stack.mount_units import automount_unit, mount_unit, name_of
from nimctl.stack.numbers import upstream
from nimctl.stack.plan import LayerPlan, Question, RefusedError, Repository

LAYER = "storage_lustre"
CONFIGURATION = "/etc/lnet.conf"
LNET = "lnet.service"
CLIENTS = ("lustre-client", "amlfs-lustre-client", "kmod-lustre-client")
"""How the names of packages of a client begin, whoever built them."""
PACKAGES = {
    ("apt", "packages"): ("lustre-client-utils", "lustre-client-modules-{kernel}"),
    ("apt", "dkms"): ("lustre-client-utils", "lustre-client-modules-dkms"),
    ("dnf", "packages"): ("lustre-client", "kmod-lustre-client"),
    ("dnf", "dkms"): ("lustre-client", "lustre-client-dkms"),
}
LOCKING = {"flock", "noflock", "localflock"}


def plan(question: Question) -> LayerPlan:
    """What a host installs and mounts. Raises RefusedError, AskError."""
    if question.context.get("mode") == "ignore":
        return LayerPlan(LAYER, {"steps": "ignore"})
    entries: Sequence[Storage] = [entry for entry in question.settings if entry.mode != "ignore"]
    if not entries:
        return LayerPlan(LAYER, {"steps": "ignore"})
    for entry in entries:
        _refuse_trouble(question.host, entry)
    verified = question.context.get("mode") == "verify"
    managed = [entry for entry in entries if entry.mode == "managed" and not verified]
    checked = [entry for entry in entries if entry not in managed]
    wrong = [line for entry in checked for line in _differences(question.host, entry)]
    if not managed:
        return LayerPlan(LAYER, {"steps": "verify"}, will=tuple(wrong))
    if wrong:
        raise RefusedError(f"{LAYER}: {'; '.join(wrong)} (mode: verify). Mount it, or set mode: managed.")
    return _managed(question, managed)


def _managed(question: Question, managed: Sequence[Storage]) -> LayerPlan:
    host = question.host
    servers = [nid for entry in managed for nid in nids(str(entry.server))]
    fabric: Mapping[str, Any] = question.context.get("fabric") or {}
    address = str(question.context.get("address") or "")
    interfaces = {nid.network: interface_of(nid, host, fabric, address) for nid in servers}
    packages = _packages(question, managed[0].packages, any(nid.kind == "o2ib" for nid in servers))
    starts = not host.system.container
    missing = [entry for entry in managed if _mounted(host, entry.mount) is None]
    notes = [] if starts else ["This node is a container: Lustre is set up, and not mounted."]
    return LayerPlan(
        LAYER,
        {
            "steps": "managed",
            **packages,
            "files": [{"path": CONFIGURATION, "content": configuration(interfaces)}],
            "modules": ["lnet", "lustre"],
            "units": _units(managed, "started" if starts else "kept"),
            "striping": [{"mount": entry.mount, "count": entry.stripe_count} for entry in managed],
            "reach": _reach(missing) if starts else [],
        },
        will=(
            *package_changes(host, packages["versions"], list(packages["versions"])),
            *(f"mount {_source(entry)} at {entry.mount}" for entry in missing if not entry.automount),
        ),
        notes=tuple(notes),
    )


def _refuse_trouble(host: Host, entry: Storage) -> None:
    if not entry.server or not entry.export:
        raise RefusedError(
            f"{LAYER}: {entry.mount} has no server or no export. Give the NIDs of the management server, "
            "such as server: 10.22.0.10@o2ib, and the file system, such as export: /scratch."
        )
    found = _mounted(host, entry.mount)
    if found is None:
        return
    if found.answers is False:
        raise RefusedError(
            f"{LAYER}: {entry.mount} is mounted from {found.source} and does not answer. Bring its servers "
            f"back, or take the mount away: umount --lazy {entry.mount}"
        )
    if found.type != "lustre" or not same_source(found.source, entry.server, entry.export):
        raise RefusedError(
            f"{LAYER}: {entry.mount} has {found.source} ({found.type}) mounted, expected {_source(entry)} or "
            "nothing. Unmount it, choose another mount, or describe it as kind: existing."
        )


def _differences(host: Host, entry: Storage) -> list[str]:
    found = _mounted(host, entry.mount)
    if found is None:
        return [f"{entry.mount} is not mounted"]
    missing = [option for option in entry.options if option not in found.options]
    return [f"{entry.mount} is mounted without {', '.join(missing)}"] if missing else []


def _mounted(host: Host, path: str) -> Mount | None:
    here = [mount for mount in host.mounts if mount.target == path and mount.type != "autofs"]
    return here[-1] if here else None


def _source(entry: Storage) -> str:
    return f"{entry.server}:{entry.export}"


def _packages(question: Question, how: str, rdma: bool) -> dict[str, Any]:
    """Packages with their versions, and where they come from; without a mirror a client has to be there."""
    host, kernel = question.host, question.host.system.kernel
    there = sorted(name for name in host.packages if name.startswith(CLIENTS))
    mirror = (question.context.get("mirrors") or {}).get("lustre")
    nothing: dict[str, Any] = {"names": [], "versions": {}, "repositories": []}
    if not mirror:
        _refuse_without_modules(host, there, how, rdma)
        return {**nothing, "version": upstream(host.packages[there[0]].version) if there else ""}
    source = _repository(question, mirror)
    names = [name.format(kernel=kernel) for name in PACKAGES[source.kind, how]]
    offers = question.offers.versions(source, names)
    absent = [name for name in names if not offers[name]]
    if absent:
        raise RefusedError(
            f"{LAYER}: {source.url} has no {', '.join(absent)}, and the node runs the kernel {kernel}. Put "
            "the client for this kernel there, boot a kernel that it has one for, or set packages: dkms."
        )
    version = locked(question, LAYER) or upstream(offers[names[0]][0])
    field = f"the lock (nimctl lock --upgrade {LAYER})"
    return {
        "names": _headers(host) if how == "dkms" else [],
        "versions": exact_versions(question, source, names, version, field),
        "repositories": [asdict(source)],
        "version": version,
    }


def _headers(host: Host) -> list[str]:
    if host.system.headers or host.system.container:
        return []
    name = "linux-headers" if host.package_manager == "apt" else "kernel-devel"
    return [f"{name}-{host.system.kernel}"]


def _repository(question: Question, mirror: Mapping[str, Any]) -> Repository:
    system = question.host.system
    distribution = question.versions.distribution(system.distribution, system.version)
    if not mirror.get("url") or not mirror.get("key"):
        raise RefusedError(
            f"{LAYER}: stack.mirrors.lustre needs url and key. No publisher signs its Lustre packages: sign "
            "your mirror with a key of yours, and give its fingerprint as key."
        )
    url = f"{str(mirror['url']).rstrip('/')}/{distribution.name}"
    return Repository(
        id=f"lustre-{distribution.name}",
        kind=distribution.manager,
        url=f"{url}/",
        key_url=f"{url}/lustre.asc",
        fingerprint=str(mirror["key"]).upper(),
    )


def _refuse_without_modules(host: Host, there: Sequence[str], how: str, rdma: bool) -> None:
    if not there:
        raise RefusedError(
            f"{LAYER}: no Lustre client is installed, and no mirror is described. No publisher signs its "
            "Lustre packages, so nimctl takes none from the internet: put them into a repository of yours "
            "that is signed and name it as stack.mirrors.lustre (url and key), or install the client."
        )
    # The modules of a container are those of its host.
    wanted = ["lustre", *(["ko2iblnd"] if rdma else [])]
    missing = [name for name in wanted if name not in (*host.available_modules, *host.modules)]
    if missing and not host.system.container:
        remedy = (
            f"Build it: dkms autoinstall -k {host.system.kernel}, with the headers of this kernel"
            if how == "dkms"
            else "Install the modules for this kernel, or boot the kernel that they are for"
        )
        if missing == ["ko2iblnd"]:
            remedy = "Use a client that was built with o2ib (against DOCA-OFED where that is installed)"
        raise RefusedError(
            f"{LAYER}: {', '.join(there)} is installed, and the running kernel {host.system.kernel} has no "
            f"module {' and no '.join(missing)}. {remedy}."
        )


def _options(entry: Storage) -> list[str]:
    given = {option.partition("=")[0] for option in entry.options}
    # Model libraries lock files of their caches.
    ours = ["_netdev", *([] if given & LOCKING else ["flock"])]
    return [*(option for option in ours if option not in given), *entry.options]


def _units(managed: Sequence[Storage], state: str) -> list[dict[str, Any]]:
    ranks = {"enabled": True, "state": state, "disturbs_ranks": True}
    units: list[dict[str, Any]] = [{"name": LNET, **ranks, "restart_on": [CONFIGURATION]}]
    for entry in managed:
        text = mount_unit(
            _source(entry), entry.mount, "lustre", _options(entry), after=(), network=True, requires=(LNET,)
        )
        mount = {"name": name_of(entry.mount, "mount"), "definition": text, **ranks}
        if entry.automount:
            units.append({**mount, "enabled": False, "state": "kept"})
            waiting = automount_unit(entry.mount)
            units.append({"name": name_of(entry.mount, "automount"), "definition": waiting, **ranks})
        else:
            units.append(mount)
    return units


def _reach(entries: Sequence[Storage]) -> list[dict[str, Any]]:
    """Servers that can be tried without Lustre: a single NID by TCP. Of several, one may well be down."""
    found = []
    for entry in entries:
        known = nids(str(entry.server))
        if len(known) == 1 and known[0].kind == "tcp":
            found.append({"host": known[0].address, "port": PORT, "what": f"storage {entry.mount}"})
    return found
