#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: units
short_description: Have units of systemd as they should be, and remember how they were
description:
  - Writes units and drop-ins, enables and starts units, and restarts those that run with an older text or
    were started before a file of O(units[].restart_on) was last changed. What runs is compared with what is
    wanted, so that a run that was interrupted is finished by the next one.
  - systemd reads its configuration anew only where it says that it has to, because that takes GPUs from
    containers that got them without CDI.
  - Nothing that would end a running rank (a unit C(nim-*.service)) is stopped or restarted, unless
    O(ranks_may_stop) says so. It is reported under RV(ignore:pending) instead.
  - What the owner does not name any more, or everything with O(state=absent), gets its former state back.
  - Where systemd does not run, only files are written, and RV(ignore:not_here) says so.
version_added: 0.1.0
options:
  owner:
    description: Who looks after the units; one word, such as the name of a role.
    type: str
    required: true
  units:
    description: All units that the owner looks after, in the order in which they start.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Full name, such as C(nvidia-persistenced.service).
        type: str
        required: true
      enabled:
        description: Whether it starts with the node. Without it, that stays as it is.
        type: bool
      state:
        description:
          - Whether it runs now. V(kept) neither starts nor stops it, and restarts it like V(started) where
            it runs.
          - A unit that a condition of its own keeps from starting is not an error; see RV(ignore:unmet).
          - A service of C(Type=oneshot) needs C(RemainAfterExit=yes), otherwise each run starts it anew.
        type: str
        choices: [started, stopped, kept]
        default: kept
      definition:
        description: Text of the whole unit, for one that no package brings.
        type: str
        default: ""
      drop_in:
        description: Text that is added to a unit of a package. Empty means none.
        type: str
        default: ""
      restart_on:
        description: Files that it reads at its start. One that does not exist is passed over.
        type: list
        elements: path
        default: []
      disturbs_ranks:
        description: Whether ranks suffer when it stops, although systemd knows of no dependency between them.
        type: bool
        default: false
  ranks_may_stop:
    description: Whether units may be stopped and restarted although that ends running ranks.
    type: bool
    default: false
  state:
    description: With V(absent) all units of the owner get their former state back.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Run the persistence daemon
  nimctl.multinode.units:
    owner: nvidia_driver
    units:
      - name: nvidia-persistenced.service
        enabled: true
        state: started
        restart_on: [/usr/bin/nvidia-persistenced]
        disturbs_ranks: true
"""

RETURN = r"""
did:
  description: The orders that systemd got, or would get in check mode.
  returned: always
  type: list
  elements: str
unmet:
  description: Units that did not start because a condition of theirs is not met here.
  returned: always
  type: list
  elements: str
pending:
  description: What waits, and how to end the waiting.
  returned: always
  type: list
  elements: str
not_here:
  description: What was not attempted on this node, and why.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.parts.units import SPEC, work


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
