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
from ansible_collections.nimctl.multinode.plugins.module_utils.files import File, Record, reconcile
from ansible_collections.nimctl.multinode.plugins.module_utils.kernel_modules import Kernel, settle, texts
from ansible_collections.nimctl.multinode.plugins.module_utils.surroundings import container


def work(module: AnsibleModule) -> None:
    wanted = module.params
    present = wanted["state"] == "present"
    load, blacklist = (wanted[key] if present else [] for key in ("load", "blacklist"))
    options = wanted["options"] if present else {}
    record = Record(wanted["owner"], "modules")
    files = [File(path, text) for path, text in texts(wanted["owner"], load, blacklist, options).items()]
    outcome = reconcile(files, record, module.check_mode)
    result = {"loaded": [], "at_boot": [], "pending": [], "not_here": []}
    where = container()
    if not where:
        kernel = Kernel(module.run_command)
        absent = settle(kernel, record, load, wanted["now"], module.check_mode)
        result["loaded" if wanted["now"] else "at_boot"] = absent
        result["pending"] = kernel.waits_for_boot(blacklist, options)
    elif load:
        result["not_here"] = [
            f"Kernel modules are not loaded in a container ({where}): {', '.join(load)}. The files for the "
            "boot of a machine were written."
        ]
    orders = "".join(f"modprobe {name}\n" for name in result["loaded"])
    diff = {"before_header": "kernel", "after_header": "kernel", "before": "", "after": orders}
    module.exit_json(
        changed=bool(outcome.changed or result["loaded"]),
        diff=[*outcome.diff, *([diff] if orders else [])],
        **result,
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "load": {"type": "list", "elements": "str", "default": []},
            "blacklist": {"type": "list", "elements": "str", "default": []},
            "options": {"type": "dict", "default": {}},
            "now": {"type": "bool", "default": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
