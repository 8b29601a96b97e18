# Copyright: the nimctl authors
# Apache License 2.0 (see LICENSE)
"""Inventory plugin: a cluster description becomes groups, group variables and the ranks of every node."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster
short_description: Inventory from a nimctl cluster description
version_added: 0.1.0
author: nimctl authors (@nimctl)
description:
  - Reads C(cluster.yml), validates it and places every rank, following C(cluster.lock.yml) beside it.
  - Every host gets C(nim_ranks), the ranks that it runs with everything their containers need.
  - Settings are variables of the group C(nim_cluster_nodes), so C(group_vars) and C(host_vars) win over them.
  - Other files of the folder that name this plugin (C(cluster.lock.yml), C(gpus.yml), C(fabrics.yml),
    C(stack.yml), those in C(contracts/)) belong to the description and add nothing of their own.
requirements:
  - the Python package nimctl in the environment of ansible-core
options:
  plugin:
    description: Must be C(nimctl.multinode.cluster).
    type: str
    required: true
    choices: [nimctl.multinode.cluster]
seealso:
  - name: Fields of cluster.yml
    description: Reference of the description.
    link: https://github.com/nimctl/nimctl/blob/main/docs/reference/cluster.yml.md
"""

EXAMPLES = r"""
# cluster.yml
plugin: nimctl.multinode.cluster
name: prod
nodes:
  - hosts: "gpu[01-02]"
    addresses: "10.0.0.[11-12]"
    gpu: {model: h100-sxm, count: 8}
"""

from pathlib import Path

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin

try:
    from nimctl.errors import NimctlError
    from nimctl.inventory import compose, read
except ImportError as error:
    IMPORT_ERROR = error
else:
    IMPORT_ERROR = None

NAME = "nimctl.multinode.cluster"
BESIDE = ("cluster.lock.yml", "gpus.yml", "fabrics.yml", "stack.yml")


class InventoryModule(BaseInventoryPlugin):
    """Turns a cluster description into an inventory."""

    NAME = NAME

    # Everything below comes from a description that refuses "{{", so values need no marking as unsafe.
    trusted_by_default = True

    def verify_file(self, path):
        """Whether a file is ours: YAML that names this plugin."""
        if not super().verify_file(path) or not path.endswith((".yml", ".yaml")):
            return False
        try:
            with Path(path).open(encoding="utf-8", errors="replace") as file:
                return any(line.startswith("plugin:") and NAME in line for line in file)
        except OSError:
            return False

    def parse(self, inventory, loader, path, cache=True):
        """Fill the inventory; every problem of the description is in the error."""
        super().parse(inventory, loader, path, cache)
        file = Path(path)
        if file.name in BESIDE or file.parent.name == "contracts":
            return
        if file.name not in ("cluster.yml", "cluster.yaml"):
            raise AnsibleParserError(f"{path}: a cluster description is named cluster.yml; rename it")
        if IMPORT_ERROR is not None:
            raise AnsibleParserError(
                f"{path}: the inventory plugin {NAME} needs the Python package nimctl in the environment of "
                f"ansible-core; install it there with `pip install nimctl` ({IMPORT_ERROR})"
            )
        try:
            composed = compose(read(file))
        except NimctlError as error:
            raise AnsibleParserError(f"the cluster description was rejected:\n{error}") from error
        self._fill(composed)

    def _fill(self, composed):
        hosts = composed.pop("_meta")["hostvars"]
        for group in composed:
            self.inventory.add_group(group)
        for host, variables in hosts.items():
            self.inventory.add_host(host)
            for name, value in variables.items():
                self.inventory.set_variable(host, name, value)
        for group, content in composed.items():
            for name, value in content.get("vars", {}).items():
                self.inventory.set_variable(group, name, value)
            for host in content.get("hosts", ()):
                self.inventory.add_host(host, group=group)
            for child in content.get("children", ()):
                if child != "ungrouped":
                    self.inventory.add_child(group, child)
