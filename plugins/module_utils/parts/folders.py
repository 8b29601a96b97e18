"""Folders that a layer needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.nimctl.multinode.plugins.module_utils.files import Record, attributes, make_folders
from ansible_collections.nimctl.multinode.plugins.module_utils.mounts import MOUNTINFO, at, mounted

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = {
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
}


def work(module: AnsibleModule) -> None:
    """Do it."""
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
