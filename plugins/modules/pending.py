#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: pending
short_description: Say at the end of a run what waits
description:
  - Collects RV(ignore:pending) from results that tasks registered on any node, such as a restart of the
    container engine
    that would have ended ranks, and prints it.
  - Hands the list to C(nimctl) as the custom statistic C(nim_pending), which makes it exit with 3.
  - Works on the controller alone; use it on C(localhost).
version_added: 0.1.0
options:
  results:
    description: Names of the variables in which results were registered.
    type: list
    elements: str
    required: true
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Say what waits
  nimctl.multinode.pending:
    results: [__container_engine_service]
"""

RETURN = r"""
pending:
  description: What waits, each with its node.
  returned: always
  type: list
  elements: str
"""
