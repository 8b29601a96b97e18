#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: stack_settle
short_description: Refuse together what any node refuses, and lock the versions of the host stack
description:
  - Reads what M(nimctl.multinode.stack_plan) registered on every node of the play. Where any node refuses a
    layer, fails with all that all nodes refuse, before anything was changed anywhere.
  - Else writes the versions that the nodes have chosen, and that are not locked yet, to C(cluster.lock.yml)
    beside the description that the run takes its inventory from. What is locked stays. A version is locked
    where all nodes have chosen the same.
  - Works on the controller alone; use it with C(run_once).
version_added: 0.2.0
options:
  results:
    description: Name of the variable in which the plans were registered.
    type: str
    required: true
  path:
    description: A folder or C(cluster.yml). Default is every description among the sources of the inventory.
    type: path
requirements:
  - the Python package nimctl in the environment of ansible-core
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Plan every layer of each node
  nimctl.multinode.stack_plan:
    layers: [driver, fabric_manager]
  register: planned

- name: Stop before the first change where a node refuses
  nimctl.multinode.stack_settle:
    results: planned
  run_once: true
"""

RETURN = r"""
files:
  description: Lock files that were written, or would be.
  type: list
  elements: str
  returned: success
changes:
  description: What was added, one line each.
  type: list
  elements: str
  returned: success
notes:
  description: Layers of which nodes chose different versions, which are not locked.
  type: list
  elements: str
  returned: success
reread:
  description: Whether the inventory says more after it, because HCAs or interfaces were found.
  type: bool
  returned: success
"""
