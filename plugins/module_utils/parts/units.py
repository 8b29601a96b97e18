"""systemd units of a layer: as written, enabled, and running with their files of now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.surroundings import systemd_runs
from ansible_collections.nimctl.multinode.plugins.module_utils.units import Unit, Units

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = {
    "owner": {"type": "str", "required": True},
    "units": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "enabled": {"type": "bool"},
            "state": {
                "type": "str",
                "choices": ["started", "stopped", "kept"],
                "default": "kept",
            },
            "definition": {"type": "str", "default": ""},
            "drop_in": {"type": "str", "default": ""},
            "restart_on": {"type": "list", "elements": "path", "default": []},
            "disturbs_ranks": {"type": "bool", "default": False},
        },
    },
    "ranks_may_stop": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def work(module: AnsibleModule) -> None:
    """Do it."""
    owner = module.params["owner"]
    given = module.params["units"] if module.params["state"] == "present" else []
    wanted = [Unit(**{**entry, "restart_on": tuple(entry["restart_on"])}) for entry in given]
    units = Units(
        module.run_command, Record(owner, "units"), owner, module.check_mode, module.params["ranks_may_stop"]
    )
    not_here = []
    if systemd_runs():
        units.apply(wanted)
    else:
        units.write(wanted)
        not_here = ["systemd does not run here: units were written, but neither enabled nor started."]
    result = units.result
    orders = "".join(f"systemctl {order}\n" for order in result.did)
    diff = {"before_header": "units", "after_header": "units", "before": "", "after": orders}
    module.exit_json(
        changed=result.changed,
        did=result.did,
        # Ansible takes a result with the key `skipped` for a task that did not run.
        unmet=result.skipped,
        pending=list(dict.fromkeys(result.pending)),
        not_here=not_here,
        diff=[*result.files.diff, *([diff] if orders else [])],
    )
