#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_settings
short_description: Raise kernel settings to a floor or set them, now and at each boot
description:
  - Changes the running kernel and writes C(/etc/sysctl.d/99-nimctl-OWNER.conf).
  - A floor is raised only where the value is lower. It is not written where a file of somebody else gives at
    least as much at the boot.
  - Former values are remembered. What the owner does not name any more, or everything with O(state=absent),
    gets them back, unless somebody has changed the setting since.
  - In a container only what the container has for itself is changed; RV(ignore:not_here) says what was left.
version_added: 0.1.0
options:
  owner:
    description: Who wants that; one word, such as the name of a role.
    type: str
    required: true
  floors:
    description: Least values by setting, such as C(vm.max_map_count).
    type: dict
    default: {}
  values:
    description: Exact values by setting.
    type: dict
    default: {}
  optional:
    description: Settings that not every kernel has. Others are an error where they do not exist.
    type: list
    elements: str
    default: []
  state:
    description: Whether that is wanted.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Have room for the mappings of large models
  nimctl.multinode.kernel_settings:
    owner: node_tuning
    floors: {vm.max_map_count: 1048576}
    values: {vm.zone_reclaim_mode: "0"}
    optional: [vm.zone_reclaim_mode]
"""

RETURN = r"""
settings:
  description: Settings of the running kernel that were changed, with their new values.
  returned: always
  type: dict
overridden:
  description: Files of others that take a setting back at the next boot.
  returned: always
  type: list
  elements: str
not_here:
  description: What was not attempted on this node, and why.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.parts.kernel_settings import SPEC, work


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
