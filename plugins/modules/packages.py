#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Have packages of the distribution on a node, and remember which of them are ours
description:
  - Installs what is missing, with apt or dnf. Where nothing is missing no package list is fetched and no
    network
    is needed.
  - Check mode also predicts packages of a repository that the same run sets up.
  - Services do not start by being installed. Whoever needs one starts it, so that check mode can say so.
  - O(state=absent) removes the packages that this owner has installed, and leaves those that were there
    before.
version_added: 0.1.0
options:
  owner:
    description: Who wants the packages; one word, such as the name of a role.
    type: str
    required: true
  names:
    description: The packages. With O(state=absent) an empty list means all that the owner has installed.
    type: list
    elements: str
    default: []
  state:
    description: Whether the packages are wanted.
    type: str
    choices: [present, absent]
    default: present
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Install podman
  nimctl.multinode.packages:
    owner: container_engine
    names: [podman, netavark]
"""

RETURN = r"""
names:
  description: The packages that were installed or removed.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.package_manager import (
    PackageError,
    package_manager,
)


def work(module: AnsibleModule) -> None:
    manager = package_manager(lambda command, **options: module.run_command(command, **options))
    if manager is None:
        module.fail_json(
            msg="This node has neither apt nor dnf. Debian, Ubuntu and the RHEL family are supported."
        )
    record = Record(module.params["owner"], "packages")
    ours = list(record.content.get("names", []))
    present = module.params["state"] == "present"
    considered = (
        module.params["names"] if present else sorted(set(ours) & set(module.params["names"] or ours))
    )
    installed = manager.installed(considered)
    names = [name for name in considered if (name in installed) != present]
    verb = "install" if present else "remove"
    try:
        if names and not module.check_mode:
            if present:
                # Remembered first: what an interrupted installation leaves behind is ours as well.
                record.save({"names": sorted({*ours, *names})})
                manager.install(names)
            else:
                manager.remove(names)
        if not present and not module.check_mode:
            left = sorted(set(ours) - set(considered))
            record.save({"names": left} if left else {})
    except PackageError as error:
        module.fail_json(msg=f"{manager.name} could not {verb} {', '.join(names)}.\n{error}")
    before = "".join(f"{name}\n" for name in considered if name in installed)
    after = "".join(f"{name}\n" for name in considered) if present else ""
    diff = {"before_header": "packages", "after_header": "packages", "before": before, "after": after}
    module.exit_json(changed=bool(names), names=names, diff=[diff] if names else [])


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
