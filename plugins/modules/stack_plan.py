#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: stack_plan
short_description: Decide what one layer of the host stack has to do on a node
description:
  - Reads the host with M(nimctl.multinode.host_probe) and decides on the controller what the layer
    consists of there. Changes nothing, also where it refuses.
  - Where the decision rests on what a package repository offers, the node is asked, with package lists of a
    temporary folder.
version_added: 0.1.0
options:
  layer:
    description: The layer, such as C(driver).
    type: str
    required: true
  settings:
    description: The layer's part of C(stack) in a description, without C(mode).
    type: dict
    default: {}
  context:
    description: What the decision needs besides the host, such as C(locked), C(mirrors), C(reboot_ok).
    type: dict
    default: {}
attributes:
  check_mode: {support: full}
  diff_mode: {support: none}
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Decide about the driver
  nimctl.multinode.stack_plan:
    layer: driver
    settings: {branch: 580}
  register: decided
"""

RETURN = r"""
plan:
  description: What the role of the layer does there, as literal values.
  returned: success
  type: dict
will:
  description: What a run would change, in sentences.
  returned: success
  type: list
  elements: str
cost:
  description: What the change costs, one of C(none), C(restart), C(drain), C(reboot).
  returned: success
  type: str
pending:
  description: What cannot be done now, and what it waits for.
  returned: success
  type: list
  elements: str
notes:
  description: What people should know.
  returned: success
  type: list
  elements: str
host:
  description: What the probe found.
  returned: success
  type: dict
"""
