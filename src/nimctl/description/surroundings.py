"""What storage, stack and secrets mean together with the rest of a description."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nimctl.description import syntax
from nimctl.description.document import SecretSource, Stack, Storage
from nimctl.description.findings import Findings
from nimctl.description.nodes import Nodes
from nimctl.description.shape import SOURCES_OF_SECRETS
from nimctl.description.words import listing, nearest, shorten
from nimctl.errors import Field

DOCKER_HUB = "docker.io"

# A model storage there would hide what the machine needs to run.
SYSTEM_FOLDERS = frozenset(
    ["/", "/home", "/tmp", "/var/lib"]  # noqa: S108 - no file is written there
    + [f"/{name}" for name in ("bin", "boot", "dev", "etc", "lib", "lib64", "proc", "root", "run")]
    + [f"/{name}" for name in ("sbin", "sys", "usr", "var")]
)


def check_storage(storage: Mapping[int, Storage], nodes: Nodes, findings: Findings) -> None:
    """Check what each kind of storage needs, and that two do not share a mount point."""
    mounts: dict[str, Field] = {}
    for index, entry in storage.items():
        where: Field = ("storage", index)
        mount = entry.mount.rstrip("/") or "/"
        if mount in SYSTEM_FOLDERS:
            found = f"found {mount}, a folder of the system"
            findings.add((*where, "mount"), f"{found}, expected one of its own such as /models")
        first = mounts.setdefault(mount, where)
        if first != where:
            found = f"found {mount} a second time (line {findings.line((*first, 'mount'))} has it)"
            findings.add((*where, "mount"), f"{found}, expected one storage for each mount")
        if not findings.has((*where, "kind")):
            _check_kind(where, entry, nodes, findings)


def _check_kind(where: Field, entry: Storage, nodes: Nodes, findings: Findings) -> None:
    remote = entry.kind in ("nfs", "lustre")
    wanted = {
        "server": "a node or the address of a server" if entry.kind == "nfs" else "the NIDs of the MGS",
        "export": "the exported path" if entry.kind == "nfs" else "the file system as /FSNAME",
    }
    for name, what in wanted.items():
        value = getattr(entry, name)
        if remote and value is None:
            findings.add((*where, name), f"found nothing, expected {what} (kind: {entry.kind})")
        elif not remote and value is not None:
            found = f"found a value with kind: {entry.kind}"
            findings.add(
                (*where, name), f"{found}, expected none ({name} belongs to nfs and lustre)", key=True
            )
    _check_kinds_of_fields(where, entry, findings)
    if entry.kind == "nfs" and entry.server is not None:
        _check_server((*where, "server"), entry.server, nodes, findings)


_FIELDS_OF_KINDS: Mapping[str, tuple[str, ...]] = {
    "nconnect": ("nfs",),
    "rdma": ("nfs",),
    "read_ahead_kib": ("nfs",),
    "automount": ("nfs", "lustre"),
    "options": ("nfs", "lustre", "existing"),
    "packages": ("lustre",),
    "stripe_count": ("lustre",),
}


def _check_kinds_of_fields(where: Field, entry: Storage, findings: Findings) -> None:
    """A field of another kind of storage would do nothing."""
    for name, kinds in _FIELDS_OF_KINDS.items():
        if name in entry.model_fields_set and entry.kind not in kinds:
            found = f"found a value with kind: {entry.kind}"
            belongs = f"{name} belongs to {' and '.join(kinds)}"
            findings.add((*where, name), f"{found}, expected none ({belongs})", key=True)
    if entry.kind == "nfs" and entry.rdma and entry.nconnect is not None:
        found = "found a number of TCP connections with rdma: true"
        findings.add((*where, "nconnect"), f"{found}, expected one of the two", key=True)
    if entry.kind == "nfs":
        for index, option in enumerate(entry.options):
            own = {"nconnect": "nconnect", "rdma": "rdma", "proto": "rdma"}.get(option.partition("=")[0])
            if own is not None:
                found = f"found the option {option}"
                findings.add((*where, "options", index), f"{found}, expected the field {own} of the storage")


def _check_server(where: Field, server: str, nodes: Nodes, findings: Findings) -> None:
    """A server is a node of this cluster, or has an address that says that it is not."""
    if server in nodes.entry_of or syntax.ip_address(server) is not None:
        return
    try:
        syntax.check_address(server)
    except syntax.WordError as problem:
        findings.add(where, f'found "{shorten(server)}", expected a node or an address: {problem}')
        return
    if "." not in server and nodes.complete:
        findings.add(
            where,
            f'found the unknown node "{server}", expected a node of this cluster, or the address or full '
            f"name of a server outside{nodes.near(server)}",
        )


def check_stack(stack: Stack, raw: Any, findings: Findings) -> None:
    """Check the container engine's registries and settings."""
    engine = stack.container_engine
    where: Field = ("stack", "container_engine")
    secrets = raw.get("secrets", {}) if isinstance(raw, dict) else {}
    # What is no mapping has a message of its own already, and its names are not known.
    unknown = not isinstance(secrets, dict)
    known = [] if unknown else list(secrets)
    hosts: dict[str, Field] = {}
    for index, registry in enumerate(engine.registries):
        at = (*where, "registries", index)
        first = hosts.setdefault(registry.host, at)
        if first != at:
            line = findings.line((*first, "host"))
            found = f"found {registry.host} a second time (line {line} has it)"
            findings.add((*at, "host"), f"{found}, expected each registry once")
        if registry.password is not None and registry.password not in known and not unknown:
            choices = listing(known) if known else f"an entry there with {SOURCES_OF_SECRETS}"
            near = nearest(registry.password, known)
            found = "found a name (not shown) that secrets does not have"
            findings.add(
                (*at, "password"), f"{found}, expected the name of an entry under secrets: {choices}{near}"
            )
        if registry.mirrors and engine.engine == "docker" and registry.host != DOCKER_HUB:
            findings.add(
                (*at, "mirrors"),
                f"found mirrors of {registry.host}, expected none: docker has mirrors of {DOCKER_HUB} only; "
                "use engine: podman, or name the mirror in the images of the deployments",
            )
    if engine.engine == "podman":
        for name in ("daemon", "source"):
            if (name == "daemon" and engine.daemon) or (name == "source" and engine.source == "docker"):
                findings.add(
                    (*where, name), "found a setting of docker with engine: podman, expected none", key=True
                )


def check_secrets(secrets: Mapping[str, SecretSource], findings: Findings) -> None:
    """Check that each secret has a usable name and exactly one source."""
    for name, source in secrets.items():
        where: Field = ("secrets", name)
        if syntax.VARIABLE.fullmatch(name) is None or name != name.lower():
            found = f'found the name "{shorten(name)}"'
            findings.add(
                where, f"{found}, expected lower-case letters, digits and `_`, no digit first", key=True
            )
        given = [kind for kind in ("env", "file", "vault") if getattr(source, kind) is not None]
        if len(given) != 1:
            found = f"found {listing(given)}" if given else "found no source"
            findings.add(where, f"{found}, expected exactly one of {SOURCES_OF_SECRETS}")
