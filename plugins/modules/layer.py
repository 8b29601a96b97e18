#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: layer
short_description: Have the parts of a layer of the host stack, in one go
description:
  - Does what several modules of this collection would do one after another, in one process on the node.
    What a task costs is mostly the way there and back, so that five parts take about as long as one.
  - The first part that fails ends it; those before it stay done.
  - Has an action plugin that renders templates on the controller.
version_added: 0.1.0
options:
  owner:
    description: What the parts belong to; their O(parts) need not say it again.
    type: str
    required: true
  parts:
    description:
      - Each has the name of a module, with the arguments of that module.
      - The names are V(cdi_spec), V(folders), V(json_merge), V(kernel_command_line), V(kernel_modules),
        V(kernel_settings), V(managed_files), V(packages) and V(units).
    type: list
    elements: dict
    required: true
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Have a package, its configuration and its service
  nimctl.multinode.layer:
    owner: clock
    parts:
      - packages: {names: [chrony]}
      - managed_files:
          files: [{path: /etc/chrony/conf.d/site.conf, template: site.conf.j2}]
      - units:
          units:
            - {name: chrony.service, state: started, restart_on: [/etc/chrony/conf.d/site.conf]}
"""

RETURN = r"""
parts:
  description: The result of each part that was done, in their order, with its name as C(part).
  returned: always
  type: list
  elements: dict
pending:
  description: What waits, of all parts.
  returned: always
  type: list
  elements: str
not_here:
  description: What the node has no place for, such as kernel modules in a container; of all parts.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.layer import work


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "parts": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
