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
  - O(state=absent) removes the packages that this owner has installed and the dependencies that came with
    them. Those that were there before stay, and so does what something else on the node has come to need.
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

from collections.abc import Iterable

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record
from ansible_collections.nimctl.multinode.plugins.module_utils.package_manager import (
    Apt,
    Dnf,
    PackageError,
    package_manager,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.package_removal import removable


def remembered(names: Iterable[str], dependencies: Iterable[str]) -> dict[str, list[str]]:
    """The content of a record; nothing at all where we have no package."""
    content = {"names": sorted(set(names)), "dependencies": sorted(set(dependencies) - set(names))}
    return {key: value for key, value in content.items() if value} if content["names"] else {}


def install(manager: Apt | Dnf, record: Record, names: list[str]) -> None:
    """Install what is missing; remembered first, so that what an interruption leaves is ours as well."""
    ours = {*record.content.get("names", []), *names}
    dependencies = record.content.get("dependencies", [])
    record.save(remembered(ours, dependencies))
    manager.install(names, lambda brought: record.save(remembered(ours, {*dependencies, *brought})))


def remove(
    manager: Apt | Dnf, record: Record, considered: list[str], installed: list[str], check: bool
) -> list[str]:
    """Remove those that nobody else needs, with the dependencies that came with them; returns what goes."""
    left = sorted(set(record.content.get("names", [])) - set(considered))
    dependencies = record.content.get("dependencies", [])
    still_there = sorted(manager.installed(dependencies))
    going = removable(manager, installed, still_there) if installed or still_there else []
    if not check:
        if going:
            manager.remove(going)
        record.save(remembered(left, set(dependencies) - set(going)))
    return going


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
        if present and names and not module.check_mode:
            install(manager, record, names)
        elif not present:
            names = remove(manager, record, considered, names, module.check_mode)
    except PackageError as error:
        module.fail_json(msg=f"{manager.name} could not {verb} {', '.join(names)}.\n{error}")
    there = dict.fromkeys([*(name for name in considered if name in installed), *([] if present else names)])
    wanted = considered if present else [name for name in there if name not in names]
    before, after = ("".join(f"{name}\n" for name in packages) for packages in (there, wanted))
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
