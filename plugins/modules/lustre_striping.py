#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: lustre_striping
short_description: Have new files of a Lustre folder spread over a number of targets
description:
  - Asks C(lfs getstripe) for the folder's own default, and sets another with C(lfs setstripe) only where it
    differs. Files that are there stay as they are, and nothing is set back later.
  - A folder that is not on a mounted Lustre is left alone, and RV(ignore:not_here) says so.
version_added: 0.2.0
options:
  folders:
    description: The folders.
    type: list
    elements: dict
    required: true
    suboptions:
      mount: {description: Where the file system is mounted., type: path, required: true}
      folder: {description: "The folder below it.", type: str, default: models}
      count: {description: "Targets of each new file; -1 means all.", type: int, required: true}
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Spread models over all targets
  nimctl.multinode.lustre_striping:
    folders:
      - {mount: /lustre, count: -1}
"""

RETURN = r"""
paths:
  description: The folders that got another default, or would in check mode.
  returned: always
  type: list
  elements: str
not_here:
  description: What was not attempted on this node, and why.
  returned: always
  type: list
  elements: str
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError, told
from ansible_collections.nimctl.multinode.plugins.module_utils.mounts import MOUNTINFO, answers, at, mounted
from ansible_collections.nimctl.multinode.plugins.module_utils.surroundings import container

SECONDS = "30"


def asked(module: AnsibleModule, *arguments: str) -> str:
    """What lfs says. It is ended after a while, because a server that is gone would hold it for ever."""
    status, out, err = module.run_command(["timeout", "--kill-after=1", SECONDS, "lfs", *arguments])
    if status != 0:
        raise NodeError(f"lfs {' '.join(arguments)} failed: {err.strip() or out.strip() or 'no answer'}")
    return out.strip()


def is_lustre(module: AnsibleModule, mount: str) -> bool:
    if not answers(module.run_command, mount):
        raise NodeError(f"{mount} does not answer. Are the servers of the file system up?")
    found = at(mount, mounted(MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")))
    return found is not None and found.type == "lustre"


def work(module: AnsibleModule) -> None:
    changed, not_here, diff = [], [], []
    where = container()
    for entry in module.params["folders"]:
        folder = Path(entry["mount"]) / entry["folder"]
        if where:
            not_here.append(f"{folder}: this node is a container ({where}), which does not mount Lustre.")
        elif not is_lustre(module, entry["mount"]):
            not_here.append(f"{folder}: no Lustre is mounted at {entry['mount']} yet.")
        elif not folder.is_dir():
            not_here.append(f"{folder} does not exist; its files would get the file system's own striping.")
        else:
            before = asked(module, "getstripe", "-d", "-c", str(folder))
            wanted = str(entry["count"])
            if before == wanted:
                continue
            changed.append(str(folder))
            header = f"stripe count of {folder}"
            diff.append({"header": header, "before": f"{before}\n", "after": f"{wanted}\n"})
            if not module.check_mode:
                asked(module, "setstripe", "-c", wanted, str(folder))
    module.exit_json(changed=bool(changed), paths=changed, not_here=not_here, diff=diff)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "folders": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "mount": {"type": "path", "required": True},
                    "folder": {"type": "str", "default": "models"},
                    "count": {"type": "int", "required": True},
                },
            },
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
