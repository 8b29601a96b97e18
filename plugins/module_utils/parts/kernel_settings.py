"""Kernel settings of a layer: floors and exact values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.kernel_settings import (
    Change,
    Kernel,
    compare,
    settle,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.surroundings import container

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = {
    "owner": {"type": "str", "required": True},
    "floors": {"type": "dict", "default": {}},
    "values": {"type": "dict", "default": {}},
    "optional": {"type": "list", "elements": "str", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def work(module: AnsibleModule) -> None:
    """Do it."""
    wanted = module.params
    owner = wanted["owner"]
    file = f"/etc/sysctl.d/99-nimctl-{owner}.conf"
    kernel, record = Kernel(), Record(owner, "sysctls")
    change = Change()
    if wanted["state"] == "present":
        change = compare(
            kernel,
            file=file,
            floors={key: int(value) for key, value in wanted["floors"].items()},
            values={key: str(value) for key, value in wanted["values"].items()},
            optional=frozenset(wanted["optional"]),
            former=record.content.get("former", {}),
            contained=container(),
        )
    done = settle(kernel, file, change, record, owner, module.check_mode)
    before, after = (
        "".join(f"{key} = {value}\n" for key, value in sorted(values.items()))
        for values in (done.before, done.after)
    )
    diff = {"before_header": "kernel", "after_header": "kernel", "before": before, "after": after}
    module.exit_json(
        changed=bool(done.files.changed or done.after),
        settings=done.after,
        overridden=change.overridden,
        not_here=change.not_here,
        diff=[*done.files.diff, *([diff] if done.after else [])],
    )
