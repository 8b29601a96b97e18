#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: firewall
short_description: Close the ports of ranks to all but their cluster, by an nftables table of its own
description:
  - Loads the table C(inet nimctl_CLUSTER) in one transaction, and keeps it only after a fresh connection from
    the controller has come through it. Until then a timer on the node waits to bring the former rules back,
    also where the controller is gone.
  - What the kernel has is compared with what it would make of the wanted rules, so that a rule that was
    changed by hand is found.
  - A unit of its own loads the rules at boot. No other table and no file of anybody else is touched.
  - The ports on which SSH reaches the node stay open, whatever the settings say.
version_added: 0.2.0
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  state:
    description: Whether the table is wanted. V(checked) changes nothing and fails where it differs;
      V(follows) wants it only where this cluster has one already.
    type: str
    choices: [present, absent, checked, follows]
    default: present
  inside:
    description: Addresses, names and networks of the cluster.
    type: list
    elements: str
    default: []
  closed:
    description: Ports and ranges that only the cluster may use.
    type: list
    elements: str
    default: []
  random:
    description: Ports and ranges to which only the cluster may open TCP connections.
    type: list
    elements: str
    default: []
  api:
    description: Ports of the API.
    type: list
    elements: str
    default: []
  api_allow:
    description: Networks that may use the API besides the cluster. Empty means everybody.
    type: list
    elements: str
    default: []
  open:
    description: Ports and ranges within the closed ones that stay open, for services of others.
    type: list
    elements: str
    default: []
  rules:
    description: Further rules of nft, evaluated before those that let the cluster in.
    type: list
    elements: str
    default: []
  confirm:
    description: Seconds that new rules wait for a fresh connection before the former ones come back.
    type: int
    default: 60
  mark:
    description: What the rules were made from, in a word; written beside them, where a plan finds it again.
    type: str
    default: ""
  node:
    description: With O(state=follows), the node of the inventory whose variables say what is wanted; give
      it to C(delegate_to) as well. One that is not reached is reported under RV(ignore:pending).
    type: str
    default: ""
  step:
    description: Set by the action plugin.
    type: str
    choices: [load, confirm, restore]
    default: load
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Close the ports of ranks to others
  nimctl.multinode.firewall:
    cluster: prod
    inside: [10.0.0.11, 10.0.0.12]
    closed: ["29500"]
    random: ["32768-60999"]
"""

RETURN = r"""
waiting:
  description: Whether the rules wait for a fresh connection.
  returned: always
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.firewall import Wanted, resolved, ssh_ports
from ansible_collections.nimctl.multinode.plugins.module_utils.nftables import Firewall

WORDS = ("inside", "closed", "random", "api", "api_allow", "open", "rules")


def wanted(params: dict) -> Wanted:
    """What is wanted here, names resolved and the ports of SSH among those that stay open."""
    given = {name: tuple(params[name]) for name in WORDS}
    given["inside"] = resolved(params["inside"])
    given["open"] = (*map(str, ssh_ports()), *params["open"])
    return Wanted(mark=params["mark"], **given)


def work(module: AnsibleModule) -> None:
    firewall = Firewall(module.run_command, module.params["cluster"], module.check_mode)
    state, step = module.params["state"], module.params["step"]
    waiting = False
    if state == "absent":
        firewall.remove()
    elif state == "follows" and not firewall.is_here():
        module.exit_json(changed=False, waiting=False, diff=[])
    elif step == "restore":
        firewall.restore()
    elif step == "confirm":
        firewall.confirm(wanted(module.params))
    else:
        waiting = firewall.load(wanted(module.params), module.params["confirm"], state == "checked")
    module.exit_json(changed=firewall.changed, waiting=waiting, diff=firewall.diff)


def main() -> None:
    words = {name: {"type": "list", "elements": "str", "default": []} for name in WORDS}
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "choices": ["present", "absent", "checked", "follows"],
                "default": "present",
            },
            "confirm": {"type": "int", "default": 60},
            "mark": {"type": "str", "default": ""},
            "node": {"type": "str", "default": ""},
            "step": {"type": "str", "choices": ["load", "confirm", "restore"], "default": "load"},
            **words,
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
