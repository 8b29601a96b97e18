"""Kernel modules of a layer: loaded, kept out, with their options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.nimctl.multinode.plugins.module_utils.files import File, Record, reconcile
from ansible_collections.nimctl.multinode.plugins.module_utils.kernel_modules import Kernel, settle, texts
from ansible_collections.nimctl.multinode.plugins.module_utils.surroundings import container

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = {
    "owner": {"type": "str", "required": True},
    "load": {"type": "list", "elements": "str", "default": []},
    "blacklist": {"type": "list", "elements": "str", "default": []},
    "options": {"type": "dict", "default": {}},
    "now": {"type": "bool", "default": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def work(module: AnsibleModule) -> None:
    """Do it."""
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
