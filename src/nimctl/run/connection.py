"""How to reach a node with ssh, as the inventory says it; for following a log."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nimctl.errors import NimctlError
from nimctl.inventory import compose
from nimctl.run import collection
from nimctl.run.target import Target

OVERRIDES = ("group_vars", "host_vars")


def variables(target: Target, nodes: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The connection variables of nodes, with group_vars and host_vars beside the description applied.

    Raises:
        NimctlError: ansible-inventory could not read the folder.
    """
    names = sorted(set(nodes))
    if any((target.folder / name).is_dir() for name in OVERRIDES):
        return _from_ansible(target.folder, names)
    return _from_placement(compose(target.placement), names)


def _from_ansible(folder: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    answer = subprocess.run(  # noqa: S603 - our own command, no shell
        [
            str(collection.executable("ansible-inventory")),
            *("-i", str(folder), "--list", "--limit", ",".join(names)),
        ],
        env=os.environ | collection.environment(collection.find()),
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        raise NimctlError(f"ansible-inventory cannot read {folder}:\n{answer.stderr.strip()}")
    hostvars: dict[str, dict[str, Any]] = json.loads(answer.stdout)["_meta"]["hostvars"]
    return {name: hostvars.get(name, {}) for name in names}


def _from_placement(inventory: Mapping[str, Any], names: list[str]) -> dict[str, dict[str, Any]]:
    """Merge the variables of every group that holds the node below the node's own."""
    hostvars = inventory["_meta"]["hostvars"]
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        merged: dict[str, Any] = {}
        for group, content in inventory.items():
            if group != "_meta" and name in _members(inventory, group):
                merged |= content.get("vars", {})
        found[name] = merged | hostvars.get(name, {})
    return found


def _members(inventory: Mapping[str, Any], group: str) -> set[str]:
    content = inventory.get(group, {})
    members = set(content.get("hosts", []))
    for child in content.get("children", []):
        members |= _members(inventory, child)
    return members


def command(node: str, settings: Mapping[str, Any], words: Iterable[str]) -> list[str]:
    """The local command that runs ``words`` on a node, as root where the inventory says so."""
    remote = shlex.join(words)
    if settings.get("ansible_become") and settings.get("ansible_user") != "root":
        remote = f"sudo -n {remote}"
    if settings.get("ansible_connection") == "local":
        return ["sh", "-c", remote]
    line = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
    for name in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        line += shlex.split(str(settings.get(name) or ""))
    if settings.get("ansible_port"):
        line += ["-p", str(settings["ansible_port"])]
    if settings.get("ansible_user"):
        line += ["-l", str(settings["ansible_user"])]
    if settings.get("ansible_ssh_private_key_file"):
        line += ["-i", str(settings["ansible_ssh_private_key_file"])]
    return [*line, str(settings.get("ansible_host") or node), remote]
