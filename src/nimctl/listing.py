"""The inventory as others write it: ``ansible-inventory --list``, and a static YAML inventory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nimctl.description.words import nearest
from nimctl.errors import NimctlError, RejectedError
from nimctl.inventory import EVERYONE

_PROFILE = "inventory_legacy"


def as_list(composed: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """What ``ansible-inventory --list`` prints for a composed inventory.

    Variables of groups are merged into their hosts, with ``group_vars`` and ``host_vars`` of ``folder``
    winning over what the description says, as in Ansible. Groups without hosts and children are left out.
    """
    files = _Files(folder)
    hostvars = composed["_meta"]["hostvars"]
    memberships = _memberships(composed)
    merged = {
        host: _merge(composed, variables, memberships.get(host, ()), host, files)
        for host, variables in hostvars.items()
    }
    shown: dict[str, Any] = {"_meta": {"hostvars": merged, "profile": _PROFILE}}
    shown["all"] = {"children": list(composed["all"]["children"])}
    for group in sorted(composed.keys() - {"_meta", "all"}):
        content = {key: composed[group][key] for key in ("children", "hosts") if composed[group].get(key)}
        if content:
            shown[group] = content
    return shown


def host_variables(composed: Mapping[str, Any], host: str, folder: Path | None = None) -> dict[str, Any]:
    """What ``ansible-inventory --host`` prints; raises RejectedError for a host that is not there."""
    known = composed["_meta"]["hostvars"]
    variables = known.get(host)
    if variables is None:
        raise RejectedError(f"{host} is no node of this cluster{nearest(host, known)}")
    return _merge(composed, variables, _memberships(composed).get(host, ()), host, _Files(folder))


def as_static(composed: Mapping[str, Any]) -> dict[str, Any]:
    """The same inventory as a static YAML file would hold it: ``all`` with children, vars and hosts."""
    groups: dict[str, Any] = {}
    nested = set(composed[EVERYONE]["children"])
    for name in composed["all"]["children"]:
        if name == EVERYONE:
            children = {child: _hosts(composed, child) for child in composed[EVERYONE]["children"]}
            groups[name] = {"children": children, "vars": composed[EVERYONE]["vars"]}
        elif name != "ungrouped" and name not in nested:
            groups[name] = _hosts(composed, name)
    return {"all": {"children": groups, "hosts": composed["_meta"]["hostvars"]}}


def _hosts(composed: Mapping[str, Any], group: str) -> dict[str, Any]:
    hosts = composed[group].get("hosts", ())
    return {"hosts": {host: {} for host in hosts}} if hosts else {}


def _memberships(composed: Mapping[str, Any]) -> dict[str, list[str]]:
    """The groups of every host, parents of its groups included, in Ansible's order of precedence."""
    found: dict[str, list[str]] = {}
    for group in sorted(composed.keys() - {"_meta", "all", EVERYONE}):
        for host in composed[group].get("hosts", ()):
            found.setdefault(host, []).append(group)
    children = set(composed[EVERYONE]["children"])
    # Depth 1 first (EVERYONE among them, by name), then the children of EVERYONE at depth 2.
    return {
        host: sorted({*groups, EVERYONE}, key=lambda group: (group in children, group))
        for host, groups in found.items()
    }


def _merge(
    composed: Mapping[str, Any], variables: Mapping[str, Any], groups: Iterable[str], host: str, files: _Files
) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for group in groups:
        merged.update(composed[group].get("vars", {}))
    files.update(merged, "group", "all")
    for group in groups:
        files.update(merged, "group", group)
    merged.update(variables)
    files.update(merged, "host", host)
    return dict(sorted(merged.items()))


class _Files:
    """Variables of ``group_vars/`` and ``host_vars/`` beside a description, read by Ansible's own code."""

    def __init__(self, folder: Path | None) -> None:
        present = folder is not None and any((folder / name).is_dir() for name in ("group_vars", "host_vars"))
        self._folder = folder if present else None
        self._known: dict[tuple[str, str], Mapping[str, Any]] = {}
        if self._folder is not None:
            # Imported here: loading Ansible takes longer than all the rest of a small inventory.
            from ansible.parsing.dataloader import DataLoader

            self._loader = DataLoader()

    def update(self, merged: dict[str, Any], kind: str, name: str) -> None:
        """Put the variables of a group or host over what is there."""
        if self._folder is None:
            return
        key = (kind, name)
        if key not in self._known:
            self._known[key] = self._read(self._folder / f"{kind}_vars", name)
        if self._known[key]:
            from ansible.utils.vars import combine_vars

            merged.update(combine_vars(merged, self._known[key]))

    def _read(self, folder: Path, name: str) -> Mapping[str, Any]:
        from ansible.errors import AnsibleError
        from ansible.utils.vars import combine_vars

        variables: dict[str, Any] = {}
        try:
            for file in self._loader.find_vars_files(str(folder), name):
                loaded = self._loader.load_from_file(file, cache="all", unsafe=False)
                variables = combine_vars(variables, loaded or {})
        except AnsibleError as error:
            raise NimctlError(
                f"{folder / name}: cannot be read: {error}. `ansible-inventory --list` with the vault's "
                "password shows it"
            ) from error
        return variables
