#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: json_merge
short_description: Merge keys into a JSON file that others write as well
description:
  - Sets keys in a JSON file such as C(/etc/docker/daemon.json) and leaves all others as they are.
  - What was set, and what was there before, is remembered in C(/var/lib/nimctl/json), so that keys which are
    no
    longer wanted are taken out and former values come back.
  - A file that is not valid JSON is an error, and stays untouched.
version_added: 0.1.0
options:
  path:
    description: The file.
    type: path
    required: true
  owner:
    description: Who wants the keys; one word, such as the name of a role.
    type: str
    required: true
  values:
    description: Keys to set, whatever is there. Objects are merged, and items are added to lists. Empty
      takes out all that the owner has.
    type: dict
    required: true
  defaults:
    description: Objects to merge only where the file has none of their top-level keys from anybody else.
    type: list
    elements: dict
    default: []
  comments:
    description:
      - Whether the file may have comments as in C, as C(/etc/cufile.json) has.
      - A file that is changed loses them. When the owner's keys go and nothing else was changed meanwhile,
        the file comes back as it was, with them.
    type: bool
    default: false
    version_added: 0.2.0
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Keep containers running while the daemon restarts
  nimctl.multinode.json_merge:
    path: /etc/docker/daemon.json
    owner: container_engine
    values: {live-restore: true}
"""

RETURN = r"""
file:
  description: The text C(before) and C(after) this run, and when it was C(modified) last before it.
  returned: always
  type: dict
keys:
  description: The top-level keys that changed.
  returned: always
  type: list
  elements: str
paths:
  description: The file, if it changed.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.parts.json_merge import SPEC, work


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
