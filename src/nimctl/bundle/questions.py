"""What the roles would ask on every node, read as Ansible reads it: group_vars and host_vars included."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from nimctl.bundle.wishes import Questions
from nimctl.errors import NimctlError, RejectedError
from nimctl.run import collection
from nimctl.stack.inventory import LAYER_GROUPS
from nimctl.stack.layers import ROLES
from nimctl.stack.repositories import Repository

UTILITIES = "ansible_collections.nimctl.multinode.plugins.module_utils"
HELPERS = "ansible_collections.nimctl.multinode.plugins.plugin_utils.bundle_questions"
_OWN = (
    "inventory_hostname",
    "inventory_hostname_short",
    "ansible_host",
    "nim_address",
    "nim_cluster_addresses",
    "nim_fabric",
    "nim_rank_address",
    "nim_ranks",
    "group_names",
    "groups",
    "hostvars",
    "vars",
    "omit",
)
"""Variables that differ from node to node and choose no package; layers are compared apart."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Nodes for which everything that chooses packages is equal."""

    nodes: tuple[str, ...]
    host: Mapping[str, Any]
    questions: Questions


@cache
def know_collection() -> None:
    """Let this process import the collection's own Python code, as Ansible does."""
    from ansible.plugins.loader import init_plugin_loader
    from ansible.utils.collection_loader import AnsibleCollectionConfig

    if AnsibleCollectionConfig.collection_finder is None:
        found = collection.find()
        init_plugin_loader([str(found.search_path)] if found.search_path else [])


def fetch_key(url: str, fingerprint: str) -> str:
    """The key behind a URL. Raises NimctlError where there is none, or another one."""
    know_collection()
    helpers = import_module(f"{UTILITIES}.signing_key")
    try:
        return str(helpers.fetch_key(url, fingerprint))
    except import_module(f"{UTILITIES}.errors").NodeError as error:
        raise NimctlError(str(error)) from error


def preferences(versions: Mapping[str, str], family: Sequence[str]) -> str:
    """Preferences by which apt takes one release of packages, as they are written on nodes."""
    know_collection()
    return str(import_module(f"{UTILITIES}.packages.hold").preferences(versions, family))


def _loader() -> Any:
    """What reads files for Ansible, with the vault passwords of its configuration."""
    from ansible import constants
    from ansible.cli import CLI
    from ansible.parsing.dataloader import DataLoader

    loader: Any = DataLoader()
    identities = list(constants.DEFAULT_VAULT_IDENTITY_LIST)
    loader.set_vault_secrets(CLI.setup_vault_secrets(loader, vault_ids=identities, auto_prompt=False))
    return loader


class Inventory:
    """An inventory folder as Ansible sees it; ``loader`` is that of a run of Ansible, if there is one."""

    def __init__(self, folder: Path, loader: Any = None) -> None:
        # Imported here: loading Ansible takes long, and few verbs need it.
        from ansible.inventory.manager import InventoryManager
        from ansible.vars.hostvars import HostVars
        from ansible.vars.manager import VariableManager

        know_collection()
        self._loader: Any = loader or _loader()
        self._inventory = InventoryManager(loader=self._loader, sources=[str(folder)])
        self._manager = VariableManager(loader=self._loader, inventory=self._inventory)
        # Variables may look at those of other nodes.
        HostVars(self._inventory, self._manager, self._loader)

    def nodes(self) -> list[str]:
        """The nodes that a run is about."""
        return [host.name for host in self._inventory.get_hosts("nim_nodes")]

    def variables(self, node: str) -> dict[str, Any]:
        """All variables of a node, not templated."""
        return dict(self._manager.get_vars(host=self._inventory.get_host(node)))

    def kinds(self, hosts: Mapping[str, Mapping[str, Any]]) -> list[Kind]:
        """The nodes, by what chooses their packages; ``hosts`` has the hardware and system of each.

        Raises RejectedError where a variable cannot be read.
        """
        by_key: dict[str, list[str]] = {}
        for node in self.nodes():
            everything = self.variables(node)
            layers = [name for name in everything["group_names"] if name in LAYER_GROUPS]
            shared = {name: value for name, value in everything.items() if name not in _OWN}
            fabric = (everything.get("nim_fabric") or {}).get("kind")
            key = json.dumps([layers, fabric, shared, hosts[node]], sort_keys=True, default=str)
            by_key.setdefault(key, []).append(node)
        return [
            Kind(tuple(nodes), hosts[nodes[0]], self._questions(nodes[0], hosts[nodes[0]]))
            for nodes in by_key.values()
        ]

    def _questions(self, node: str, host: Mapping[str, Any]) -> Questions:
        from ansible.errors import AnsibleError
        from ansible.template import Templar

        variables = self.variables(node)
        templar = Templar(loader=self._loader, variables=variables)
        helpers = import_module(HELPERS)
        try:
            asked = helpers.questions(variables, host["system"], ROLES, self._loader, templar)
        except AnsibleError as error:
            raise RejectedError(f"{node}: {error.message}") from error
        given = asked["engine_repository"]
        repository = None
        if given is not None:
            listed = {name: tuple(given[name]) for name in ("components", "architectures")}
            repository = Repository(**{**given, **listed})
        return Questions(asked["layers"], tuple(asked["engine"]), repository)
