#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: drain
short_description: Note on a node that it is drained, or that it is not any more
description:
  - Writes or removes C(/var/lib/nimctl/CLUSTER/drained), which says who drained the node, since when and why.
    Units of ranks have it as a condition, and runs leave the ranks of the node stopped.
  - Stops and starts nothing; that is what P(nimctl.multinode.rank_state#module) does.
  - A drain of a person outlasts those that a run makes for the time of a change.
version_added: 0.1.0
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  state:
    description: Whether the node is drained.
    type: str
    choices: [drained, undrained]
    required: true
  kind:
    description: Who asks, a person (V(drain)) or a run that changes the node and gives it back (V(change)).
      With O(state=undrained), V(change) gives back only what a run has drained.
    type: str
    choices: [drain, change]
    default: drain
  why:
    description: The reason, for others who look at the node.
    type: str
    default: ""
  by:
    description: Who. Set by the action plugin.
    type: str
    default: ""
  since:
    description: When, in Unix time. Set by the action plugin.
    type: int
    default: 0
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Drain the node
  nimctl.multinode.drain:
    cluster: "{{ nim_cluster }}"
    state: drained
    why: a fan is replaced
"""

RETURN = r"""
drained:
  description: The drain that holds now; empty where the node is not drained.
  returned: always
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.drain import Drains
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told


def work(module: AnsibleModule) -> None:
    drains = Drains(module.params["cluster"], module.check_mode)
    wanted = {name: module.params[name] for name in ("by", "since", "why", "kind")}
    with drains.alone():
        if module.params["state"] == "drained":
            changed = drains.drain(wanted)
            found = wanted if changed else drains.record()
        else:
            changed = drains.undrain(["change"] if wanted["kind"] == "change" else ["drain", "change"])
            found = None if changed else drains.record()
    module.exit_json(changed=changed, drained=found or {})


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "state": {"type": "str", "required": True, "choices": ["drained", "undrained"]},
            "kind": {"type": "str", "choices": ["drain", "change"], "default": "drain"},
            "why": {"type": "str", "default": ""},
            "by": {"type": "str", "default": ""},
            "since": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
