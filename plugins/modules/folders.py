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

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record, attributes, make_folders
from ansible_collections.nimctl.multinode.plugins.module_utils.mounts import MOUNTINFO, at, mounted


def work(module: AnsibleModule) -> None:
    record = Record(module.params["owner"], "folders_of_roles")
    made = list(record.content.get("folders", []))
    wanted = {entry["path"]: entry for entry in module.params["folders"]}
    changed = [path for path, entry in wanted.items() if _differs(path, entry, made)]
    table = mounted(MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape"))
    gone = []
    # Innermost first: a folder goes with those in it, and stays where one of them stays.
    for path in sorted(made, key=len, reverse=True):
        free = not _below_any(path, wanted) and at(path, table) is None
        if free and Path(path).is_dir() and not _keeps(path, gone):
            gone.append(path)
    if not module.check_mode:
        for path in changed:
            missing = [str(each) for each in (Path(path), *Path(path).parents) if not each.exists()]
            made = [*made, *(folder for folder in reversed(missing) if folder not in made)]
            # Before, so that an interrupted run leaves no folder that nobody remembers.
            record.save({"folders": made})
            make_folders(Path(path))
            Path(path).chmod(int(wanted[path]["mode"], 8))
            os.chown(path, wanted[path]["uid"], wanted[path]["uid"])
        for path in gone:
            Path(path).rmdir()
        left = [path for path in made if path not in gone and Path(path).exists()] if wanted else []
        record.save({"folders": left} if left else {})
    module.exit_json(changed=bool(changed or gone), paths=[*changed, *gone])


def _differs(path: str, entry: dict, made: list) -> bool:
    if not os.path.lexists(path):
        return True
    uid = entry["uid"]
    ours = path in made and not entry["mount_point"]
    return ours and attributes(path) != (int(entry["mode"], 8), uid, uid)


def _below_any(path: str, wanted: dict) -> bool:
    return any(Path(other).is_relative_to(path) for other in wanted)


def _keeps(path: str, going: list) -> bool:
    """Whether something is in a folder besides those that go as well."""
    return any(str(child) not in going for child in Path(path).iterdir())


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "folders": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "mode": {"type": "str", "default": "0755"},
                    "uid": {"type": "int", "default": 0},
                    "mount_point": {"type": "bool", "default": False},
                },
            },
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
