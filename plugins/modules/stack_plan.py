#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: stack_plan
short_description: Decide what layers of the host stack have to do on a node
description:
  - Reads the host with M(nimctl.multinode.host_probe) and decides on the controller what the layer
    consists of there. Changes nothing, also where it refuses.
  - Where the decision rests on what a package repository offers, the node is asked, with package lists of a
    temporary folder.
version_added: 0.1.0
options:
  layer:
    description: The layer, such as C(driver). Refused where it cannot be what is wanted.
    type: str
  layers:
    description:
      - Several layers, instead of one. Each is asked what its role would ask, from the variables of the
        node; they are planned in their order, each with the plans of those before, and then held against
        each other.
      - What is refused is returned, not raised, so that M(nimctl.multinode.stack_settle) can tell it for all
        nodes together.
    type: list
    elements: str
  settings:
    description: The layer's part of C(stack) in a description.
    type: dict
    default: {}
  context:
    description: What the decision needs besides the host, such as C(locked), C(mirrors), C(reboot_ok).
    type: dict
    default: {}
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Plan every layer that applies to the node
  nimctl.multinode.stack_plan:
    layers: [driver, fabric_manager, container_toolkit]
  register: planned

- name: Decide about the driver
  nimctl.multinode.stack_plan:
    layer: driver
    settings: {branch: 580}
  register: decided
"""

RETURN = r"""
plan:
  description: What the role of the layer does there, as literal values.
  returned: success, with O(layer)
  type: dict
plans:
  description: For each of the layers C(version), C(will), C(cost), C(pending) and C(notes), as below for one.
  returned: success, with O(layers)
  type: dict
fabric:
  description: The C(hcas) and the C(interface) that were found, of what the description leaves open.
  returned: success, with O(layers)
  type: dict
refused:
  description: What cannot be, each with reason and remedy.
  returned: success, with O(layers)
  type: list
  elements: str
will:
  description: What a run would change, in sentences.
  returned: success, with O(layer)
  type: list
  elements: str
cost:
  description:
    - What the change costs, one of C(none), C(restart), C(drain), C(reboot); of several layers the highest.
  returned: success
  type: str
pending:
  description: What cannot be done now, and what it waits for.
  returned: success, with O(layer)
  type: list
  elements: str
notes:
  description: What people should know.
  returned: success, with O(layer)
  type: list
  elements: str
host:
  description: What the probe found.
  returned: success, with O(layer)
  type: dict
"""
