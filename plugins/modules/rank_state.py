#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: rank_state
short_description: Stop or start ranks, replica by replica
description:
  - With O(state=stopped), stops the ranks of every replica that has to restart as a whole, which is one where
    P(nimctl.multinode.ranks#module) found a reason at any of its ranks on any node.
  - With O(state=started), starts those of O(ranks) that do not run. With O(release), those that have no unit
    yet are passed over, because a bare node is given back before its ranks are deployed.
  - A replica with a node that could not be reached in this run is left as it is.
  - A replica with a node that is drained is stopped and held. Its ranks do not start, not at a boot either,
    until the node is given back.
  - The decision is made on the controller from the results of all nodes; a node where there is nothing to do
    is not
    contacted.
version_added: 0.1.0
options:
  ranks:
    description: The ranks of this node, as in C(nim_ranks).
    type: list
    elements: dict
    default: []
  found:
    description: Name of the variable with what P(nimctl.multinode.ranks#module) returned, on every node.
    type: str
    default: ""
  state:
    description: What to do.
    type: str
    choices: [stopped, started]
    required: true
  names:
    description: Which ranks to stop or start. Set by the action plugin where there is O(found).
    type: list
    elements: str
    default: []
  cluster:
    description: Name of the cluster; needed with O(hold) and O(release).
    type: str
    default: ""
  hold:
    description: With O(state=stopped), drained nodes for which O(names) are held from now on.
    type: list
    elements: str
    default: []
  release:
    description: With O(state=started), nodes that are drained no more.
    type: list
    elements: str
    default: []
  holds:
    description: All that is held, by rank. Set by the action plugin.
    type: dict
    default: {}
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Stop the replicas that changed
  nimctl.multinode.rank_state:
    ranks: "{{ nim_ranks }}"
    found: __nim_rank_found
    state: stopped

- name: Stop two ranks and hold them while gpu02 is drained
  nimctl.multinode.rank_state:
    cluster: prod
    names: [r1-0-0, r1-0-1]
    hold: [gpu02]
    state: stopped
"""

RETURN = r"""
names:
  description: The ranks that were stopped or started.
  returned: always
  type: list
  elements: str
held:
  description: The ranks that were not started, because other nodes of their replicas are drained.
  returned: with O(state=started)
  type: list
  elements: str
reasons:
  description: Why, by replica.
  returned: always
  type: dict
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.drain import Drains
from ansible_collections.nimctl.multinode.plugins.module_utils.engine import Engine
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import (
    RUNNING,
    UNIT_FOLDER,
    container_name,
    unit_name,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.supervision import supervisor_unit
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import journal, show


def work(module: AnsibleModule) -> None:
    start = module.params["state"] == "started"
    names = module.params["names"]
    marked, waits = _released(module) if start else (_held(module), [])
    units = {unit: name for name in names if name not in waits for unit in _units(name, start)}
    states = show(module.run_command, units, ["ActiveState", "LoadState"])
    if module.params["release"]:
        units = {unit: name for unit, name in units.items() if states[unit]["LoadState"] != "not-found"}
    if start:
        # In check mode nothing was stopped, yet these are the ones that would have been.
        concerned = [
            unit for unit in units if module.check_mode or states[unit]["ActiveState"] not in RUNNING
        ]
    else:
        concerned = [unit for unit in units if states[unit]["ActiveState"] in RUNNING]
    if concerned and not module.check_mode:
        _order(module, units, concerned, "start" if start else "stop")
    module.exit_json(
        changed=bool(concerned or marked),
        names=sorted({units[unit] for unit in concerned}),
        reasons={},
        **({"held": waits} if start else {}),
    )


def _units(name: str, start: bool) -> list[str]:
    """The units of a rank: a supervisor starts what is beside it, and stops first, lest it start it again."""
    supervisor = supervisor_unit(name)
    if not Path(UNIT_FOLDER, supervisor).exists():
        return [unit_name(name)]
    return [supervisor] if start else [supervisor, unit_name(name)]


def _held(module: AnsibleModule) -> bool:
    """Note which ranks are held, before they stop: a boot in between starts none of them."""
    drains = Drains(module.params["cluster"], module.check_mode)
    if not module.params["hold"] and not module.params["holds"]:
        return False
    with drains.alone():
        new = [
            drains.hold(rank, nodes, others=False) for rank, nodes in sorted(module.params["holds"].items())
        ]
        if module.params["hold"]:
            new += [drains.hold(rank, module.params["hold"]) for rank in module.params["names"]]
    return any(new)


def _released(module: AnsibleModule) -> tuple[bool, list[str]]:
    """Whether a rank is held no more that was, and the ranks that still are."""
    drains = Drains(module.params["cluster"], module.check_mode)
    # What a run over the whole cluster starts is held by nobody; a node that is given back speaks for itself.
    gone = None if module.params["found"] else module.params["release"]
    with drains.alone():
        new = [drains.release(rank, gone) for rank in module.params["names"]]
        left = {rank: set(drains.held(rank)) for rank in module.params["names"]}
    if module.check_mode:
        left = {rank: set() if gone is None else nodes - set(gone) for rank, nodes in left.items()}
    if drains.record() and gone is not None:
        return any(new), sorted(left)
    return any(new), sorted(rank for rank, nodes in left.items() if nodes)


def _order(module: AnsibleModule, units: dict, concerned: list, order: str) -> None:
    module.run_command(["systemctl", "reset-failed", *concerned])
    status, out, err = module.run_command(["systemctl", order, *concerned])
    if status != 0:
        logs = "".join(
            f"\nThe last lines of {unit}:\n  " + "\n  ".join(journal(module.run_command, unit, 15))
            for unit in concerned
        )
        module.fail_json(msg=f"systemctl {order} failed: {err.strip() or out.strip()}{logs}")
    if order == "stop":
        # After a change of the engine, a container of the former one is what the unit no longer knows
        # to stop.
        for name in ("docker", "podman"):
            engine = Engine(name, module.run_command)
            for rank in sorted({units[unit] for unit in concerned}) if engine.binary else []:
                engine.remove(container_name(rank))


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "ranks": {"type": "list", "elements": "dict", "default": []},
            "found": {"type": "str", "default": ""},
            "state": {"type": "str", "required": True, "choices": ["stopped", "started"]},
            "names": {"type": "list", "elements": "str", "default": []},
            "cluster": {"type": "str", "default": ""},
            "hold": {"type": "list", "elements": "str", "default": []},
            "release": {"type": "list", "elements": "str", "default": []},
            "holds": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
