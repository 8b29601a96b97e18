#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: json_merge
short_description: Merge keys into a JSON file that others write as well
description:
  - Sets keys in a JSON file such as C(/etc/docker/daemon.json) and leaves all others as they are.
  - What was set, and what was there before, is remembered in C(/var/lib/nimctl/json), so that keys which are
    no
    longer wanted are taken out and former values come back.
  - A file that is not valid JSON is an error, and stays untouched.
version_added: 0.1.0
options:
  path:
    description: The file.
    type: path
    required: true
  owner:
    description: Who wants the keys; one word, such as the name of a role.
    type: str
    required: true
  values:
    description: Keys to set, whatever is there. Objects are merged, and items are added to lists. Empty
      takes out all that the owner has.
    type: dict
    required: true
  defaults:
    description: Objects to merge only where the file has none of their top-level keys from anybody else.
    type: list
    elements: dict
    default: []
  comments:
    description:
      - Whether the file may have comments as in C, as C(/etc/cufile.json) has.
      - A file that is changed loses them. When the owner's keys go and nothing else was changed meanwhile,
        the file comes back as it was, with them.
    type: bool
    default: false
    version_added: 0.2.0
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Keep containers running while the daemon restarts
  nimctl.multinode.json_merge:
    path: /etc/docker/daemon.json
    owner: container_engine
    values: {live-restore: true}
"""

RETURN = r"""
file:
  description: The text C(before) and C(after) this run, and when it was C(modified) last before it.
  returned: always
  type: dict
keys:
  description: The top-level keys that changed.
  returned: always
  type: list
  elements: str
paths:
  description: The file, if it changed.
  returned: always
  type: list
  elements: str
"""

import json
import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import (
    Record,
    attributes,
    read,
    write_atomic,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.jsonmerge import (
    ConflictError,
    changed_keys,
    merge,
    together,
    without_comments,
)


def parsed(module: AnsibleModule, path: str, text: str | None) -> dict:
    """The document, or an error that says where it is broken."""
    if text is None or not text.strip():
        return {}
    try:
        document = json.loads(without_comments(text) if module.params["comments"] else text)
    except ValueError as error:
        module.fail_json(
            msg=f"{path} is not valid JSON ({error}). It was left as it is; mend it or move it away, "
            "and run again."
        )
    if not isinstance(document, dict):
        module.fail_json(
            msg=f"{path} holds no JSON object. It was left as it is; mend it or move it away, and run again."
        )
    return document


def with_comments(module: AnsibleModule, record: Record, text: str | None) -> str:
    """The file as it was before our keys, where it had comments: only then is it more than its document."""
    if not module.params["comments"]:
        return ""
    now = text if text and without_comments(text) != text else ""
    return record.content.get("original") or now


def work(module: AnsibleModule) -> None:
    # Where somebody has put a link, the file behind it is the one that changes.
    path = os.path.realpath(module.params["path"])
    record = Record(f"{module.params['owner']}{path.replace('/', '-')}", "json")
    text = read(path)
    before = parsed(module, path, text)
    try:
        after, remembered = merge(before, module.params["values"], module.params["defaults"], record.content)
    except ConflictError as error:
        module.fail_json(msg=f"{path}: {error}. It was left as it is.")
    changed = before != after
    made_by_us = text is None or record.content.get("file", False)
    written = "" if made_by_us and not after else json.dumps(after, indent=2) + "\n"
    original = with_comments(module, record, text)
    if original and parsed(module, path, original) == after:
        written = original
    rest = {"file": made_by_us, **({"original": original} if original else {})}
    modified = Path(path).stat().st_mtime if text is not None else 0.0
    if not module.check_mode:
        if changed and remembered:
            # First, so that an interruption between the two leaves no key that nobody remembers.
            record.save({**together(record.content, remembered), **rest})
        if changed and written:
            mode, uid, gid = attributes(path) if text is not None else (0o644, 0, 0)
            write_atomic(path, written, mode, uid, gid)
        elif changed and text is not None:
            Path(path).unlink()
        record.save({**remembered, **rest} if remembered else {})
    diff = (
        [{"before_header": path, "after_header": path, "before": text or "", "after": written}]
        if changed
        else []
    )
    module.exit_json(
        changed=changed,
        keys=changed_keys(before, after),
        paths=[path] if changed else [],
        file={"before": text or "", "after": written if changed else text or "", "modified": modified},
        diff=diff,
    )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "owner": {"type": "str", "required": True},
            "values": {"type": "dict", "required": True},
            "defaults": {"type": "list", "elements": "dict", "default": []},
            "comments": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
