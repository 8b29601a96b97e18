"""Arguments of a layer on the kernel command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.kernel_command_line import (
    by_grubby,
    by_update_grub,
    here,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.surroundings import container

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = {
    "owner": {"type": "str", "required": True},
    "arguments": {"type": "list", "elements": "str", "default": []},
}


def work(module: AnsibleModule) -> None:
    """Do it."""
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
