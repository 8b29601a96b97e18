#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_command_line
short_description: Have arguments on the kernel command line of each boot
description:
  - On Debian and Ubuntu writes C(/etc/default/grub.d/50-nimctl-OWNER.cfg) and runs C(update-grub); on the
    RHEL family runs C(grubby). The site's own arguments stay.
  - Arguments that the owner does not name any more are taken off.
  - What the running kernel has not got is reported under RV(ignore:pending).
  - In a container only the file is written, and RV(ignore:not_here) says so.
version_added: 0.2.0
options:
  owner:
    description: Who wants that; one word, such as the name of a role.
    type: str
    required: true
  arguments:
    description: The arguments, such as C(iommu=pt). None means that the owner wants none.
    type: list
    elements: str
    default: []
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Have the IOMMU pass through
  nimctl.multinode.kernel_command_line:
    owner: node_tuning
    arguments: [iommu=pt]
"""

RETURN = r"""
pending:
  description: What waits for a reboot.
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
from ansible_collections.nimctl.multinode.plugins.module_utils.parts.kernel_command_line import SPEC, work


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
