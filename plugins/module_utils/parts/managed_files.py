"""Files that belong to a layer: exactly these, and none that it left behind."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.nimctl.multinode.plugins.module_utils.files import File, Record, read, reconcile
from ansible_collections.nimctl.multinode.plugins.module_utils.signing_key import fetch_key, is_key, plain

if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

SPEC = {
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
}


def fetched(module: AnsibleModule, entry: dict) -> str:
    """The signing key that is on the node, or else the one behind the URL; either has the fingerprint."""
    present = read(entry["path"])
    if present is not None and is_key(present, entry["fingerprint"]):
        return present
    if module.check_mode:
        return f"the key {plain(entry['fingerprint'])} from {entry['url']}\n"
    return fetch_key(entry["url"], entry["fingerprint"])


def work(module: AnsibleModule) -> None:
    """Do it."""
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
