#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_modules
short_description: Have kernel modules loaded at boot and now, keep others out, and set their options
description:
  - Writes C(/etc/modules-load.d) and C(/etc/modprobe.d) and loads what is missing in the running kernel.
  - A loaded module is never unloaded to make it so. What the running kernel still has otherwise is reported
    under RV(ignore:pending).
  - In a container only the files are written, because the kernel is somebody else's; RV(ignore:not_here)
    says so.
  - O(state=absent) removes the files, and unloads the modules that this owner has loaded and nobody uses.
version_added: 0.1.0
options:
  owner:
    description: Who wants that; one word, such as the name of a role.
    type: str
    required: true
  load:
    description: Modules that are loaded, in this order.
    type: list
    elements: str
    default: []
  blacklist:
    description: Modules that are not loaded for a device by themselves.
    type: list
    elements: str
    default: []
  options:
    description: Parameters with their values, by module.
    type: dict
    default: {}
  now:
    description: Whether O(load) is also loaded into the running kernel, or only at the next boot.
    type: bool
    default: true
  state:
    description: Whether that is wanted.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Have the modules for verbs
  nimctl.multinode.kernel_modules:
    owner: rdma
    load: [ib_uverbs, rdma_ucm]
"""

RETURN = r"""
loaded:
  description: Modules that were loaded into the running kernel, or would be in check mode.
  returned: always
  type: list
  elements: str
at_boot:
  description: Modules that are not in the running kernel and come with the next boot.
  returned: always
  type: list
  elements: str
pending:
  description: What the running kernel still has otherwise.
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
from ansible_collections.nimctl.multinode.plugins.module_utils.parts.kernel_modules import SPEC, work


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
