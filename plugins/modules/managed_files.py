#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: managed_files
short_description: Keep the files of one owner, and only those, on a node
description:
  - Writes files that belong to us as a whole, such as drop-ins, and removes those that the same owner put
    there
    earlier and no longer wants, with the folders made for them.
  - What was put is remembered in C(/var/lib/nimctl/files). A file that somebody else had at such a path is
    remembered there too, and comes back when ours goes. No other file is touched.
  - Runs on the controller first, where it renders templates of the role that calls it.
version_added: 0.1.0
options:
  owner:
    description: Who the files belong to; one word, such as the name of a role.
    type: str
    required: true
  files:
    description: The files as they should be. An empty list removes all that the owner has.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where the file is, absolute.
        type: path
        required: true
      content:
        description: The text of the file.
        type: str
      template:
        description: A template of the role, rendered on the controller. It sees O(files[].variables) besides
          all variables.
        type: str
      variables:
        description: Variables for the template.
        type: dict
        default: {}
      source:
        description: A file on the controller, absolute.
        type: path
      url:
        description: Where the node fetches the file from, only when it has none with the right fingerprint.
          Needs O(files[].fingerprint).
        type: str
      fingerprint:
        description: The OpenPGP fingerprint (40 hexadecimal digits) of the one key that the file must hold.
        type: str
      mode:
        description: Permissions, as an octal number in quotes.
        type: str
        default: "0644"
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Write the registries' configuration
  nimctl.multinode.managed_files:
    owner: container_engine
    files:
      - path: /etc/containers/registries.conf.d/50-nimctl.conf
        template: registries.conf.j2
"""

RETURN = r"""
files:
  description: For each file its C(path), digests of its content C(before) and C(after) this run (empty for
    no file), and when it was C(modified) last before it.
  returned: always
  type: list
  elements: dict
paths:
  description: The files that were written or removed.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.parts.managed_files import SPEC, work


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
