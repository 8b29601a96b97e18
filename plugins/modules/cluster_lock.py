#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_lock
short_description: Write what is missing to a cluster's lock
description:
  - Looks up the digest of every image that is not locked yet and writes it, with the placement of every rank,
    to C(cluster.lock.yml) beside the description that the run takes its inventory from.
  - What is locked stays. Only C(nimctl lock --upgrade) moves it.
  - Fails, before any host is contacted, when the description is rejected or when a deployment must not be
    started (a contract that is only shown, such as C(article) with a real image).
  - Runs on the controller; use it on C(localhost), and refresh the inventory when it changed something.
version_added: 0.1.0
options:
  path:
    description: A folder or C(cluster.yml). Default is every description among the sources of the inventory.
    type: path
requirements:
  - the Python package nimctl in the environment of ansible-core
extends_documentation_fragment: [nimctl.multinode.modes.diff]
notes:
  - In check mode no registry is asked; images that are not locked count as a change.
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Lock what is not locked yet
  nimctl.multinode.cluster_lock:
  delegate_to: localhost
  run_once: true
  register: locked

- name: Read the inventory again, with the lock
  ansible.builtin.meta: refresh_inventory
  when: locked is changed
"""

RETURN = r"""
files:
  description: Lock files that were written, or would be.
  type: list
  elements: str
  returned: always
changes:
  description: What was added or changed, one line each.
  type: list
  elements: str
  returned: always
notes:
  description: Remarks for a person, such as a contract that was only inferred.
  type: list
  elements: str
  returned: always
"""
