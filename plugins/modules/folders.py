#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: folders
short_description: Have folders on a node, and remember which were made
description:
  - Makes folders that are missing, and gives them their permissions and owner. A folder that somebody else
    made keeps its own.
  - A folder that is no longer wanted goes if it was made by this owner and is empty; one with something in it
    stays.
version_added: 0.2.0
options:
  owner:
    description: Who wants the folders; one word, such as the name of a role.
    type: str
    required: true
  folders:
    description: The folders as they should be. An empty list removes those that were made and are empty.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {description: "Where it is, absolute.", type: path, required: true}
      mode: {description: "Permissions, as an octal number in quotes.", type: str, default: "0755"}
      uid: {description: Whom it belongs to., type: int, default: 0}
      mount_point:
        description: Whether something is mounted over it. It is then made where it is missing, and an
          existing one is left alone, because its permissions may be those of what is mounted.
        type: bool
        default: false
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Have a folder for models
  nimctl.multinode.folders:
    owner: storage_local
    folders:
      - {path: /srv/models}
"""

RETURN = r"""
paths:
  description: Folders that were made, changed or removed.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.parts.folders import SPEC, work


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
