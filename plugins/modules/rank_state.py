#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: rank_state
short_description: Stop or start ranks, replica by replica
description:
  - With O(state=stopped), stops the ranks of every replica that has to restart as a whole, which is one where
    P(nimctl.multinode.ranks#module) found a reason at any of its ranks on any node.
  - With O(state=started), starts those of O(ranks) that do not run.
  - A replica with a node that could not be reached in this run is left as it is.
  - The decision is made on the controller from the results of all nodes; a node where there is nothing to do
    is not
    contacted.
version_added: 0.1.0
options:
  ranks:
    description: The ranks of this node, as in C(nim_ranks).
    type: list
    elements: dict
    required: true
  found:
    description: Name of the variable with what P(nimctl.multinode.ranks#module) returned, on every node.
    type: str
    required: true
  state:
    description: What to do.
    type: str
    choices: [stopped, started]
    required: true
  names:
    description: Which ranks to stop or start. Set by the action plugin.
    type: list
    elements: str
    default: []
attributes:
  check_mode: {support: full}
  diff_mode: {support: none}
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Stop the replicas that changed
  nimctl.multinode.rank_state:
    ranks: "{{ nim_ranks }}"
    found: __nim_rank_found
    state: stopped
"""

RETURN = r"""
names:
  description: The ranks that were stopped or started.
  returned: always
  type: list
  elements: str
reasons:
  description: Why, by replica.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.engine import Engine
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import RUNNING, container_name, unit_name
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import journal, show


def work(module: AnsibleModule) -> None:
    start = module.params["state"] == "started"
    units = {unit_name(name): name for name in module.params["names"]}
    states = show(module.run_command, units, ["ActiveState"])
    if start:
        # In check mode nothing was stopped, yet these are the ones that would have been.
        concerned = [
            unit for unit in units if module.check_mode or states[unit]["ActiveState"] not in RUNNING
        ]
    else:
        concerned = [unit for unit in units if states[unit]["ActiveState"] in RUNNING]
    if concerned and not module.check_mode:
        order = ["start"] if start else ["stop"]
        module.run_command(["systemctl", "reset-failed", *concerned])
        status, out, err = module.run_command(["systemctl", *order, *concerned])
        if status != 0:
            logs = "".join(
                f"\nThe last lines of {unit}:\n  " + "\n  ".join(journal(module.run_command, unit, 15))
                for unit in concerned
            )
            module.fail_json(msg=f"systemctl {order[0]} failed: {err.strip() or out.strip()}{logs}")
        if not start:
            # After a change of the engine, a container of the former one is what the unit no longer knows
            # to stop.
            for name in ("docker", "podman"):
                engine = Engine(name, module.run_command)
                for unit in concerned if engine.binary else []:
                    engine.remove(container_name(units[unit]))
    module.exit_json(changed=bool(concerned), names=sorted(units[unit] for unit in concerned), reasons={})


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "ranks": {"type": "list", "elements": "dict", "required": True},
            "found": {"type": "str", "required": True},
            "state": {"type": "str", "required": True, "choices": ["stopped", "started"]},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
