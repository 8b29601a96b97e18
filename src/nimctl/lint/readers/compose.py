"""Compose files."""

from __future__ import annotations

from dataclasses import dataclass, field

from nimctl.lint.containers import Container, MountPoint, Origin, Variable
from nimctl.lint.model import Edit, Source
from nimctl.lint.yamltree import Tree, documents


@dataclass(eq=False)
class Services:
    """The services of a file, each with its node."""

    source: Source
    services: list[tuple[Container, Tree]] = field(default_factory=list)


def read(source: Source) -> Services:
    """Read a file."""
    found = Services(source)
    for document in documents(source):
        for _, service in document.items("services"):
            found.services.append((_container(service), service))
    return found


def _container(service: Tree) -> Container:
    image = service.get("image")
    found = Container(
        "compose",
        service.source,
        service.place,
        image=service.text("image") or "",
        image_place=image.place if image else service.place,
    )
    _environment(found, service)
    for each in service.each("volumes"):
        found.mounts.append(_mount(each))
    for key in ("entrypoint", "command"):
        text = service.text(key)
        found.words += text.split() if text else [each.text() or "" for each in service.each(key)]
    devices = [each.text() or "" for each in service.each("devices")]
    listed = [device for device in devices if device.startswith("nvidia.com/gpu=")]
    if listed and "nvidia.com/gpu=all" not in listed:
        found.gpus = len(listed)
    privileged = service.text("privileged") == "true"
    found.host_network = service.text("network_mode") == "host"
    found.rdma = privileged or any(device.startswith("/dev/infiniband") for device in devices)
    added = {(each.text() or "").upper().removeprefix("CAP_") for each in service.each("cap_add")}
    found.ipc_lock = privileged or bool(added & {"IPC_LOCK", "ALL"})
    found.shm = service.get("shm_size") is not None or service.text("ipc") == "host"
    found.find_role()
    return found


def _environment(found: Container, service: Tree) -> None:
    if service.get("env_file") is not None:
        found.seen = False
    listing = service.get("environment")
    for name, value in service.items("environment"):
        text = value.text() or ""
        removal = value.remove_entry()
        variable = Variable(name, text.replace("$$", "$"), _origin(text), value.place)
        variable.remove = (removal,) if removal else ()
        if value.key is not None:
            key = Tree(value.key, value.source)
            variable.rename = lambda new, key=key: (key.replace(new),)
        variable.write = lambda new, value=value: (value.replace(f'"{new}"'),)
        found.variables.append(variable)
    for each in service.each("environment"):
        found.variables.append(_listed(each))
    if listing is None or not listing.is_block:
        return

    def add(name: str, value: str) -> tuple[Edit, ...]:
        edit = listing.append_key([f'{name}: "{value}"']) or listing.append_item([f"- {name}={value}"])
        return (edit,) if edit else ()

    found.add_variable = add


def _listed(each: Tree) -> Variable:
    name, joined, text = (each.text() or "").partition("=")
    removal = each.remove_entry()
    variable = Variable(name, text.replace("$$", "$"), _origin(text) if joined else "passed", each.place)
    variable.remove = (removal,) if removal else ()
    variable.rename = lambda new: (each.replace(f"{new}={text}"),)
    variable.write = lambda new: (each.replace(f"{name}={new}"),)
    return variable


def _origin(text: str) -> Origin:
    return "passed" if "$" in text.replace("$$", "") else "literal"


def _mount(each: Tree) -> MountPoint:
    text = each.text()
    if text is None:
        target = each.get("target")
        mount = MountPoint(
            each.text("target") or "",
            each.text("source") or "",
            each.text("read_only") == "true",
            each.place,
        )
        if target is not None:
            mount.retarget = lambda path: (target.replace(path),)
        return mount
    source, _, rest = text.partition(":")
    path, _, flags = rest.partition(":")
    tail = f":{flags}" if flags else ""
    return MountPoint(
        path or source,
        source,
        "ro" in flags.split(","),
        each.place,
        lambda new: (each.replace(f"{source}:{new}{tail}"),),
    )
