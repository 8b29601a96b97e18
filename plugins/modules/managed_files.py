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

import hashlib
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import File, Record, read, reconcile
from ansible_collections.nimctl.multinode.plugins.module_utils.signing_key import fetch_key, is_key, plain


def fetched(module: AnsibleModule, entry: dict) -> str:
    """The signing key that is on the node, or else the one behind the URL; either has the fingerprint."""
    present = read(entry["path"])
    if present is not None and is_key(present, entry["fingerprint"]):
        return present
    if module.check_mode:
        return f"the key {plain(entry['fingerprint'])} from {entry['url']}\n"
    return fetch_key(entry["url"], entry["fingerprint"])


def work(module: AnsibleModule) -> None:
    files = [
        File(
            path=entry["path"],
            content=fetched(module, entry) if entry["url"] else entry["content"],
            mode=int(entry["mode"], 8),
        )
        for entry in module.params["files"]
    ]
    record = Record(module.params["owner"], "files")
    after = {file.path: digest(file.content) for file in files}
    versions = [
        {
            "path": path,
            "before": digest(read(path)),
            "after": after.get(path, ""),
            "modified": Path(path).stat().st_mtime if Path(path).exists() else 0.0,
        }
        for path in sorted({*after, *record.content.get("files", [])})
    ]
    outcome = reconcile(files, record, module.check_mode)
    module.exit_json(changed=bool(outcome.changed), paths=outcome.changed, files=versions, diff=outcome.diff)


def digest(text: str | None) -> str:
    """A short text that differs with the content; empty for no file."""
    return "" if text is None else hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "owner": {"type": "str", "required": True},
            "files": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str"},
                    "template": {"type": "str"},
                    "variables": {"type": "dict", "default": {}},
                    "source": {"type": "path"},
                    "url": {"type": "str"},
                    "fingerprint": {"type": "str"},
                    "mode": {"type": "str", "default": "0644"},
                },
                "mutually_exclusive": [("content", "url")],
                "required_one_of": [("content", "url")],
                "required_by": {"url": "fingerprint"},
            },
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
