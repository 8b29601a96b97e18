#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: rollout
short_description: Decide which nodes leave service for a change, in which batches, until when
description:
  - The steps of C(playbooks/stages/rollout.yml). V(plan) finds the nodes whose change ranks do not survive,
    and those that an earlier run drained for one and did not give back. V(batches) puts them into batches.
    V(gate) decides before each batch whether it begins. V(wait) says what a node waits for. V(verify) fails
    where a plan still has something to do.
  - Works on the controller alone, and needs nothing but what nodes have reported; a run that was cut short is
    resumed by the next.
version_added: 0.1.0
options:
  step:
    description: What to decide.
    type: str
    choices: [plan, batches, gate, wait, verify]
    required: true
  results:
    description: With V(plan) and V(verify), name of the variable with the plans of
      P(nimctl.multinode.stack_plan#module).
    type: str
    default: ""
  leases:
    description: With V(plan), name of the variable with what P(nimctl.multinode.lease#module) returned.
    type: str
    default: ""
  reboot_ok:
    description: With V(plan), whether nodes may leave service at all.
    type: bool
    default: false
  batch:
    description: With V(plan), nodes in a batch, as a number or a part such as 25%. Nodes of one replica go
      together, also where that is more.
    type: str
    default: 25%
  allow_gap:
    description: With V(plan), deployments that may be without a serving replica meanwhile, as a list or with
      commas.
    type: raw
    default: []
  max_fail:
    description: With V(plan), how many nodes may fail before no further batch begins.
    type: int
    default: 0
  start_nothing_after:
    description: With V(plan), time of day (local time of the controller, such as 03:30) after which no batch
      begins. A time that is more than 12 hours ahead has passed.
    type: str
    default: ""
  rollout:
    description: With V(batches) and V(gate), name of the variable with the result so far.
    type: str
    default: ""
  seen:
    description: With V(batches), name of the variable with what P(nimctl.multinode.rank_facts#module) found.
    type: str
    default: ""
  reason:
    description: With V(wait), why.
    type: str
    default: ""
requirements:
  - the Python package nimctl in the environment of ansible-core
extends_documentation_fragment: [nimctl.multinode.modes]
attributes:
  check_mode: {details: The plan of check mode takes no node out of service.}
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Decide which nodes leave service
  nimctl.multinode.rollout:
    step: plan
    results: __nim_stack
    leases: nimctl_lease
    reboot_ok: true
    batch: 10%
    start_nothing_after: "03:30"
  register: __nim_rollout
  run_once: true
"""

RETURN = r"""
next:
  description: Which tasks follow.
  returned: with V(plan), V(batches) and V(gate)
  type: str
nodes:
  description: The nodes that leave service, in the order of their batches.
  returned: with V(plan) and V(batches)
  type: list
  elements: str
sizes:
  description: How many nodes each batch has.
  returned: with V(batches)
  type: list
  elements: int
waiting:
  description: Nodes that have to change and may not leave service, with the reason.
  returned: with V(plan) and V(batches)
  type: dict
reason:
  description: Why a batch does not begin.
  returned: with V(gate)
  type: str
pending:
  description: What waits.
  returned: with V(wait)
  type: list
  elements: str
"""
