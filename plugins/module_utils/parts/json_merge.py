"""Keys of a layer in a JSON file that is somebody else's too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = {
    "path": {"type": "path", "required": True},
    "owner": {"type": "str", "required": True},
    "values": {"type": "dict", "required": True},
    "defaults": {"type": "list", "elements": "dict", "default": []},
    "comments": {"type": "bool", "default": False},
}


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
    """Do it."""
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
