#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Have packages on a node, at exact versions where they matter, and remember which are ours
description:
  - Installs what is missing, with apt or dnf. Where nothing is missing no package list is fetched and no
    network is needed.
  - All packages of one call change in one transaction. It is simulated first, and refused where it would
    remove or downgrade anything that was not named. Where it fails half-way, the former versions are brought
    back.
  - Check mode also predicts packages of a repository that the same run sets up.
  - Services do not start by being installed. Whoever needs one starts it, so that check mode can say so.
  - O(state=absent) removes the packages that this owner has installed and the dependencies that came with
    them, its holds and its repositories. Packages that were there before stay, and so does what something
    else on the node has come to need.
version_added: 0.1.0
options:
  owner:
    description: Who wants the packages; one word, such as the name of a role.
    type: str
    required: true
  names:
    description: Packages, in whatever version there is. With O(state=absent) an empty list means all that
      the owner has installed.
    type: list
    elements: str
    default: []
  versions:
    description: Packages with the exact version that each must have, as the repository writes it. These
      are upgraded and downgraded.
    type: dict
    default: {}
  hold:
    description: Packages that must stay at their version, whoever upgrades the node. The module asks the
      package manager afterwards whether they will, and fails where they would not. A hold that was lifted
      by hand is put back.
    type: list
    elements: str
    default: []
  family:
    description: Names, as shell patterns, of packages that belong to one release, that of O(versions).
      Those that are installed in another release go along to this one, or go where it has no such package.
      No package of another release comes in (apt only; rpm's names carry no branch).
    type: list
    elements: str
    default: []
  repositories:
    description: Package repositories to set up, each with its key. A repository that cannot be reached or
      trusted is refused before anything changes. It stays as long as any owner needs it.
    type: list
    elements: dict
    default: []
    suboptions:
      id: {description: "A short name, such as C(nvidia).", type: str, required: true}
      kind: {description: Its form., type: str, choices: [apt, dnf], required: true}
      url: {description: The base that apt or dnf is given., type: str, required: true}
      key_url: {description: Where its OpenPGP key is., type: str, required: true}
      fingerprint: {description: "The key's fingerprint, 40 hexadecimal digits.", type: str, required: true}
      suite: {description: "The suite (apt); C(/) for a flat repository.", type: str, default: /}
      components: {description: The components (apt)., type: list, elements: str, default: []}
      architectures: {description: The architectures (apt)., type: list, elements: str, default: []}
  replaces:
    description: Packages that go in favour of these, where they are installed. No other package is removed.
    type: list
    elements: str
    default: []
  download_only:
    description: Fetch the packages of O(versions) into the package manager's cache and change nothing else.
    type: bool
    default: false
  state:
    description: Whether the packages are wanted.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Install podman
  nimctl.multinode.packages:
    owner: container_engine
    names: [podman, netavark]

- name: Have one driver, and keep it
  nimctl.multinode.packages:
    owner: nvidia_driver
    versions: {nvidia-driver-cuda: 580.126.20-1, nvidia-kernel-open-dkms: 580.126.20-1}
    hold: [nvidia-driver-cuda, nvidia-kernel-open-dkms]
"""

RETURN = r"""
names:
  description: The packages that were installed, moved to another version, fetched or removed.
  returned: always
  type: list
  elements: str
installed:
  description: The versions of the wanted packages, after the run.
  returned: O(state=present)
  type: dict
held:
  description: The packages that were not held and are now.
  returned: O(state=present)
  type: list
  elements: str
paths:
  description: Files of repositories and holds that were written or removed.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.parts.packages import SPEC, work


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
