"""NFS storage: the server, where it is a node of the cluster, and its clients.

Context of its own: ``cluster``, ``node`` (its name) and ``addresses`` (of the cluster, by node).

Facts with their sources: nfs(5), exports(5), nfs.conf(5) and nfsrahead(5) of nfs-utils 2.8.3; that the
nfs-utils 2.6.1 of Ubuntu 22.04 has no nfsrahead is from memory.
"""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from nimctl.description.document import Storage
from nimctl.stack.host import Host
from nimctl.stack.mount_units import automount_unit, mount_unit, name_of
from nimctl.stack.plan import LayerPlan, Question, RefusedError

LAYER = "storage_nfs"
CONFIGURATION = "/etc/nfs.conf.d/50-nimctl.conf"
READ_AHEAD_RULE = "/etc/udev/rules.d/90-nimctl-nfs.rules"
TCP, RDMA = 2049, 20049
NCONNECT = 8
CONNECTIONS_OF_A_THREAD = 2
CLIENT = {"apt": ["nfs-common"], "dnf": ["nfs-utils"]}
SERVER = {"apt": ["nfs-kernel-server"], "dnf": ["nfs-utils"]}


def plan(question: Question) -> LayerPlan:
    """What a host serves and mounts. Raises RefusedError."""
    entries: Sequence[Storage] = [entry for entry in question.settings if entry.mode != "ignore"]
    if not entries:
        return LayerPlan(LAYER, {"steps": "ignore"})
    host, node = question.host, question.context["node"]
    managed = [entry for entry in entries if entry.mode == "managed"]
    _refuse_foreign_mounts(host, managed, question.context)
    served = [entry for entry in managed if entry.server == node]
    mounted = [entry for entry in managed if entry.server != node]
    values: dict[str, Any] = {
        "steps": "managed" if managed else "verify",
        "packages": _packages(host, served, mounted),
        "files": [
            *_configuration(host, served, mounted, question.context),
            *_exports(served, question.context),
        ],
        "folders": [{"path": str(entry.export), "mode": "0755"} for entry in served]
        + [
            {"path": entry.mount, "mode": "0555", "mount_point": True}
            for entry in _mount_points(served, mounted)
        ],
        "units": [
            *_server_units(host, served, question.context),
            *_mount_units(host, served, mounted, question),
        ],
        "reach": [
            _endpoint(entry)
            for entry in entries
            if entry.server not in question.context["addresses"] and not _is_mounted(host, entry)
        ],
    }
    missing = [
        entry.mount
        for entry in entries
        if entry.server != node and not _is_mounted(host, entry)
        # One that is managed may wait for its first use.
        if entry.mode == "verify" or not entry.automount
    ]
    return LayerPlan(
        LAYER,
        values,
        will=tuple(f"have {mount} mounted by NFS" for mount in missing),
        notes=_notes(host, served, mounted),
    )


def source_of(entry: Storage, context: Mapping[str, Any]) -> str:
    """What a client mounts: the address of the server, on the fabric where it has one there, and the path."""
    known = context["addresses"].get(entry.server)
    address = list(known)[-1] if known else str(entry.server)
    return f"[{address}]:{entry.export}" if ":" in address else f"{address}:{entry.export}"


def options_of(entry: Storage) -> list[str]:
    """Mount options; those of the description replace ours of the same name.

    ``hard``: a read that was told to fail would end the ranks instead of letting them wait for the server.
    """
    ours = ["vers=4.2", "hard", "timeo=600", "retrans=2", "_netdev", "noatime"]
    if entry.rdma:
        ours += ["proto=rdma", f"port={RDMA}"]
    else:
        ours.append(f"nconnect={entry.nconnect or NCONNECT}")
    if entry.rdma and entry.nconnect:
        raise RefusedError(
            f"storage {entry.mount}: found nconnect with rdma, expected one of them: nconnect is for TCP "
            "only (nfs(5)). Leave nconnect out."
        )
    taken = {_key(option) for option in entry.options}
    return [*(option for option in ours if _key(option) not in taken), *entry.options]


def _key(option: str) -> str:
    name = option.partition("=")[0]
    others = {"soft": "hard", "softerr": "hard", "nfsvers": "vers", "relatime": "noatime", "atime": "noatime"}
    return others.get(name, name)


def _refuse_foreign_mounts(host: Host, managed: Sequence[Storage], context: Mapping[str, Any]) -> None:
    for entry in managed:
        for mount in host.mounts:
            is_server = entry.server == context["node"]
            if mount.target == entry.mount and mount.type not in ("autofs",) and not is_server:
                if mount.type in ("nfs", "nfs4") and mount.source == source_of(entry, context):
                    continue
                raise RefusedError(
                    f"storage {entry.mount}: found {mount.source} ({mount.type}) mounted there, expected "
                    f"{source_of(entry, context)} or nothing. Unmount it and take it out of /etc/fstab, "
                    "or describe it as `kind: existing`."
                )


def _is_mounted(host: Host, entry: Storage) -> bool:
    return any(mount.target == entry.mount and mount.type in ("nfs", "nfs4") for mount in host.mounts)


def _packages(host: Host, served: Sequence[Storage], mounted: Sequence[Storage]) -> list[str]:
    if not served and not mounted:
        return []
    if host.package_manager not in CLIENT:
        raise RefusedError("this node has neither apt nor dnf, so the NFS packages cannot be installed")
    names = [
        *(SERVER[host.package_manager] if served else []),
        *(CLIENT[host.package_manager] if mounted else []),
    ]
    if any(entry.rdma for entry in [*served, *mounted]):
        names.append("rdma-core")
    return list(dict.fromkeys(names))


def _configuration(
    host: Host, served: Sequence[Storage], mounted: Sequence[Storage], context: Mapping[str, Any]
) -> list[dict[str, str]]:
    lines: list[str] = []
    files: list[dict[str, str]] = []
    if served:
        connections = len(context["addresses"]) * max(entry.nconnect or NCONNECT for entry in served)
        lines += ["[nfsd]", f"threads={min(256, max(16, connections // CONNECTIONS_OF_A_THREAD))}"]
        if any(entry.rdma for entry in served):
            lines += ["rdma=y", f"rdma-port={RDMA}"]
    if mounted:
        # For all NFS mounts of the node: the largest that one of them asks for.
        kib = max(entry.read_ahead_kib for entry in mounted)
        if (host.system.distribution, host.system.version) == ("ubuntu", "22.04"):
            files.append({"path": READ_AHEAD_RULE, "content": _read_ahead_rule(kib)})
        else:
            lines += ["[nfsrahead]", f"nfs={kib}", f"nfs4={kib}"]
    if lines:
        files.append({"path": CONFIGURATION, "content": "# Written by nimctl.\n" + "\n".join(lines) + "\n"})
    return files


def _read_ahead_rule(kib: int) -> str:
    belongs = "/usr/bin/awk -v bdi=$kernel 'BEGIN{ret=1} {if ($4 == bdi) {ret=0}} END{exit ret}'"
    return (
        "# Written by nimctl.\n"
        f'SUBSYSTEM=="bdi", ACTION=="add", PROGRAM="{belongs} /proc/fs/nfsfs/volumes", '
        f'ATTR{{read_ahead_kb}}="{kib}"\n'
    )


def exports_file(cluster: str) -> str:
    """The file with the exports of a cluster."""
    return f"/etc/exports.d/nimctl-{cluster}.exports"


def _exports(served: Sequence[Storage], context: Mapping[str, Any]) -> list[dict[str, str]]:
    """Root of a client stays squashed: ranks read, and who brings models does so on the server."""
    if not served:
        return []
    others = [
        address
        for node, known in sorted(context["addresses"].items())
        if node != context["node"]
        for address in known
    ]
    lines = ["# Written by nimctl.\n"]
    for entry in served:
        identity = uuid.uuid5(uuid.NAMESPACE_URL, f"nimctl:{context['cluster']}:{entry.export}")
        lines.append(f"{entry.export} -rw,sync,no_subtree_check,fsid={identity}")
        lines.append("".join(f" \\\n  {_client(address)}" for address in others) + "\n")
    return [{"path": exports_file(context["cluster"]), "content": "".join(lines)}]


def _client(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return address


def _mount_points(served: Sequence[Storage], mounted: Sequence[Storage]) -> list[Storage]:
    return [*(entry for entry in served if entry.export != entry.mount), *mounted]


def _state(host: Host) -> str:
    """A container has no NFS of its own in the kernel: units are written there, and not started."""
    return "kept" if host.system.container else "started"


def _server_units(host: Host, served: Sequence[Storage], context: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not served:
        return []
    rdma = any(entry.rdma for entry in served)
    module = "[Unit]\nWants=modprobe@rpcrdma.service\nAfter=modprobe@rpcrdma.service\n"
    exports = (
        "# Written by nimctl.\n[Unit]\n"
        f"Description=NFS exports of cluster {context['cluster']}\n"
        "After=nfs-server.service\nRequires=nfs-server.service\n\n"
        "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/sbin/exportfs -ra\n\n"
        "[Install]\nWantedBy=multi-user.target\n"
    )
    return [
        {
            "name": "nfs-server.service",
            "enabled": True,
            "state": _state(host),
            "drop_in": module if rdma else "",
            "restart_on": [CONFIGURATION],
            "disturbs_ranks": True,
        },
        {
            "name": f"nimctl-exports-{context['cluster']}.service",
            "enabled": True,
            "state": _state(host),
            "definition": exports,
            "restart_on": [exports_file(context["cluster"])],
        },
    ]


def _mount_units(
    host: Host, served: Sequence[Storage], mounted: Sequence[Storage], question: Question
) -> list[dict[str, Any]]:
    units = []
    for entry in served:
        if entry.export != entry.mount:
            text = mount_unit(str(entry.export), entry.mount, "none", ["bind"], after=())
            units.append(_unit(name_of(entry.mount, "mount"), text, "started"))
    for entry in mounted:
        after = ("modprobe@rpcrdma.service",) if entry.rdma else ()
        text = mount_unit(
            source_of(entry, question.context),
            entry.mount,
            "nfs",
            options_of(entry),
            after=after,
            network=True,
        )
        mount = _unit(name_of(entry.mount, "mount"), text, _state(host))
        if entry.automount:
            units.append({**mount, "state": "kept", "enabled": False})
            units.append(_unit(name_of(entry.mount, "automount"), automount_unit(entry.mount), _state(host)))
        else:
            units.append(mount)
    return units


def _unit(name: str, text: str, state: str) -> dict[str, Any]:
    return {"name": name, "definition": text, "enabled": True, "state": state, "disturbs_ranks": True}


def _endpoint(entry: Storage) -> dict[str, Any]:
    port = RDMA if entry.rdma else TCP
    given = next((option.partition("=")[2] for option in entry.options if option.startswith("port=")), "")
    return {
        "host": entry.server,
        "port": int(given) if given.isdigit() else port,
        "what": f"storage {entry.mount}",
    }


def _notes(host: Host, served: Sequence[Storage], mounted: Sequence[Storage]) -> tuple[str, ...]:
    if host.system.container and (served or mounted):
        return ("This node is a container: NFS units are written and enabled, and not started.",)
    return ()
