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
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError, told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.kernel_command_line import (
    by_grubby,
    by_update_grub,
    here,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.surroundings import container


def work(module: AnsibleModule) -> None:
    owner, arguments = module.params["owner"], module.params["arguments"]
    record = Record(owner, "boot")
    if not arguments and not record.content:
        module.exit_json(changed=False, pending=[], not_here=[], diff=[])
    where, check = container(), module.check_mode
    if module.get_bin_path("grubby"):
        if where:
            module.exit_json(changed=False, pending=[], not_here=[_not_in(where)], diff=[])
        outcome = by_grubby(module.run_command, record, arguments, check)
    elif module.get_bin_path("update-grub") or where:
        outcome = by_update_grub(module.run_command, record, owner, arguments, check, act=not where)
    elif not here(arguments):
        module.exit_json(changed=False, pending=[], not_here=[], diff=[])
    else:
        raise NodeError(
            f"There is neither update-grub nor grubby here, so nimctl cannot change the kernel command line. "
            f"Add {' '.join(arguments)} with the tool of this machine's boot loader; nimctl finds it there."
        )
    missing = [] if where else here(arguments)
    module.exit_json(
        changed=bool(outcome.changed),
        pending=[f"{each} is on the kernel command line from the next boot on." for each in missing],
        not_here=[_not_in(where)] if where else [],
        diff=outcome.diff,
    )


def _not_in(where: str) -> str:
    return f"A container ({where}) has no boot loader; its kernel is that of the machine below."


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "arguments": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
