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
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.kernel_settings import (
    Change,
    Kernel,
    compare,
    settle,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.surroundings import container


def work(module: AnsibleModule) -> None:
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


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "floors": {"type": "dict", "default": {}},
            "values": {"type": "dict", "default": {}},
            "optional": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
