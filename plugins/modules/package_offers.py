#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: package_offers
short_description: Ask a package repository which versions it offers
description:
  - Reads a repository that the node may not know yet, with package lists in a temporary folder. Nothing on
    the node changes.
  - The key must have the fingerprint that is expected, and the index must be signed with it. Where it is
    not, or where the repository cannot be reached, the module fails with one message.
version_added: 0.2.0
options:
  repository:
    description: The repository.
    type: dict
    required: true
    suboptions:
      id: {description: "A short name, such as C(nvidia).", type: str, required: true}
      kind: {description: Its form., type: str, choices: [apt, dnf], required: true}
      url:
        description: The base that apt or dnf is given; empty for the node's own sources.
        type: str
        required: true
      key_url: {description: Where its OpenPGP key is., type: str, required: true}
      fingerprint: {description: "The key's fingerprint, 40 hexadecimal digits.", type: str, required: true}
      suite: {description: "The suite (apt); C(/) for a flat repository.", type: str, default: /}
      components: {description: The components (apt)., type: list, elements: str, default: []}
      architectures: {description: The architectures (apt)., type: list, elements: str, default: []}
  names:
    description: The packages to ask for.
    type: list
    elements: str
    required: true
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: See which Fabric Managers there are
  nimctl.multinode.package_offers:
    repository:
      id: nvidia
      kind: apt
      url: https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64/
      key_url: https://developer.download.nvidia.com/compute/cuda/repos/ubuntu2404/x86_64/3bf863cc.pub
      fingerprint: EB693B3035CD5710E231E123A4B469963BF863CC
    names: [nvidia-fabricmanager]
"""

RETURN = r"""
offers:
  description: For each package its versions, newest first; none where the repository has no such package.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.package_manager import package_manager
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.repository import (
    SPEC,
    Repository,
    offers,
)


def work(module: AnsibleModule) -> None:
    manager = package_manager(lambda command, **options: module.run_command(command, **options))
    if manager is None:
        module.fail_json(
            msg="This node has neither apt nor dnf. Debian, Ubuntu and the RHEL family are supported."
        )
    _, found = offers(manager, Repository.of(module.params["repository"]), module.params["names"])
    module.exit_json(changed=False, offers=found)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "repository": {"type": "dict", "required": True, "options": SPEC},
            "names": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
