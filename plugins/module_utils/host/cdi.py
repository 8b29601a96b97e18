"""CDI specifications, and whether what they say of the host is still so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.host import devices, driver
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree
from ansible_collections.nimctl.multinode.plugins.module_utils.host.yamltext import UnknownYamlError, load

FOLDERS = ("/etc/cdi", "/var/run/cdi")
"""The default of container engines. The second wins where both have a device."""

FILE_VERSION = re.compile(r"\.so\.(\d{3}\.\d+(?:\.\d+)?)$|/firmware/nvidia/(\d{3}\.\d+(?:\.\d+)?)/")
SOME = 5
"""How many stale things are named; the number of the others is."""


class UnreadableSpecError(Exception):
    """The file is no specification; the message says why."""


def read(tree: Tree) -> list[dict[str, Any]]:
    """Every specification of the host; those that cannot be read are problems."""
    found = []
    nodes = {node["path"]: (node["major"], node["minor"]) for node in devices.read(tree)}
    loaded, _ = driver.loaded(tree)
    for folder in FOLDERS:
        # /var/run is a link to /run, which a tree below another root must not follow to the machine's own.
        place = folder if tree.root == "/" or tree.names(folder) else folder.replace("/var/run", "/run")
        for name in tree.names(place):
            if name.endswith((".json", ".yaml", ".yml")):
                try:
                    content = _load(tree, f"{place}/{name}")
                except UnreadableSpecError as error:
                    tree.problem(f"{folder}/{name} cannot be read: {error}")
                    continue
                found.append(_spec(tree, f"{folder}/{name}", content, nodes, loaded))
    return found


def _load(tree: Tree, path: str) -> dict[str, Any]:
    text = tree.text(path)
    try:
        # JSON is YAML as well, and some write it under that name.
        content = json.loads(text) if text.startswith("{") else load(text)
    except UnknownYamlError as error:
        content = _with_yaml(text, str(error))
    except ValueError as error:
        raise UnreadableSpecError(str(error)) from error
    if not isinstance(content, dict):
        raise UnreadableSpecError("it holds no mapping")
    return content


def _with_yaml(text: str, why: str) -> Any:
    """What our reader does not know, by PyYAML where the host has it."""
    try:
        import yaml
    except ImportError:
        raise UnreadableSpecError(
            f"{why}; the Python of this host has no PyYAML to read all of YAML"
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UnreadableSpecError(str(error).replace("\n", " ")) from error


def _spec(
    tree: Tree, path: str, content: dict[str, Any], nodes: dict[str, tuple[int, int]], loaded: str
) -> dict[str, Any]:
    edits = list(_edits(content))
    versions = sorted({version for edit in edits for version in _versions(edit)})
    stale = [text for edit in edits for text in _stale_nodes(tree, edit, nodes)]
    if loaded and versions and loaded not in versions:
        stale.append(f"it names files of driver {', '.join(versions)}, and {loaded} is loaded")
    missing = [source for edit in edits for source in _sources(edit) if not _is_there(tree, source)]
    stale += [f"{source} does not exist" for source in missing]
    stale = list(dict.fromkeys(stale))
    more = len(stale) - SOME
    return {
        "path": path,
        "kind": str(content.get("kind", "")),
        "version": str(content.get("cdiVersion", "")),
        "driver": versions[-1] if versions else "",
        "devices": [str(device.get("name", "")) for device in _maps(content.get("devices"))],
        "stale": [*stale[:SOME], f"and {more} more"] if more > 1 else stale,
    }


def _maps(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _edits(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What the specification changes in containers: for all devices, and for each."""
    for part in (content, *_maps(content.get("devices"))):
        edit = part.get("containerEdits")
        if isinstance(edit, dict):
            yield edit


def _sources(edit: dict[str, Any]) -> Iterator[str]:
    """Files of the host that a container is given, and programs that are run for it."""
    for mount in _maps(edit.get("mounts")):
        yield str(mount.get("hostPath", ""))
    for hook in _maps(edit.get("hooks")):
        yield str(hook.get("path", ""))


def _versions(edit: dict[str, Any]) -> Iterator[str]:
    for mount in _maps(edit.get("mounts")):
        match = FILE_VERSION.search(str(mount.get("hostPath", "")))
        if match:
            yield match[1] or match[2]


def _is_there(tree: Tree, path: str) -> bool:
    # Sockets of services come and go with them, and the engine passes over those that are not there.
    return (
        not path.startswith("/") or path.startswith("/run/") or tree.out_of_reach(path) or tree.exists(path)
    )


def _stale_nodes(tree: Tree, edit: dict[str, Any], nodes: dict[str, tuple[int, int]]) -> Iterator[str]:
    for node in _maps(edit.get("deviceNodes")):
        path = str(node.get("hostPath") or node.get("path", ""))
        if path not in nodes:
            if tree.recorded or not tree.exists(path):
                yield f"{path} does not exist"
            continue
        said = (node.get("major"), node.get("minor"))
        if None not in said and said != nodes[path]:
            is_now = "{}:{}".format(*nodes[path])
            yield f"{path} is {is_now}, and the specification says {said[0]}:{said[1]}"
