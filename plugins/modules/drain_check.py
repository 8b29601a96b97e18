#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: drain_check
short_description: Refuse a drain that would leave a deployment without a serving replica
description:
  - Looks at the inventory, or with O(seen) at what was found on the nodes, and fails where a deployment that
    serves would not serve any more.
  - Works on the controller alone.
version_added: 0.1.0
options:
  nodes:
    description: The nodes to drain, as a node set; without it those that C(--limit) names.
    type: str
    default: ""
  allow_gap:
    description: Deployments that may stop serving, as a list or with commas.
    type: raw
    default: []
  seen:
    description: Name of the variable with what P(nimctl.multinode.rank_facts#module) returned, on every node.
      Without it, every replica of the inventory counts as serving.
    type: str
    default: ""
  gaps:
    description: Whether to look for gaps; otherwise only the nodes are checked.
    type: bool
    default: true
requirements:
  - the Python package nimctl in the environment of ansible-core
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Check what would stop serving
  nimctl.multinode.drain_check:
    nodes: gpu[01-02]
    allow_gap: [r1]
  run_once: true
"""

RETURN = r"""
nodes:
  description: The nodes by name.
  returned: always
  type: list
  elements: str
replicas:
  description: The replicas that stop.
  returned: always
  type: list
  elements: str
"""
