#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: lease
short_description: Keep two controllers from changing a cluster at the same time
description:
  - Takes or gives back the lease of a cluster on a node, C(/var/lib/nimctl/CLUSTER/lease.json).
  - A lease of another run is not taken; the result names its owner, its age and how to break it. One run may
    take it again and again, which renews it; a lease that the same person's dead process left behind on the
    same controller is taken over.
  - A run that ends gives it back, which writes one line to C(history.jsonl) beside it. A run that died or
    failed does not; its lease ends by itself.
  - Never reports a change. Check mode only looks, and warns.
  - Runs on the controller first, which knows the owner, the run and whether an earlier run still lives.
version_added: 0.1.0
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  state:
    description: Take or renew it, give it back at the end of a run, or V(returned), because the run cannot
      begin; then it is not part of the history.
    type: str
    choices: [taken, released, returned]
    default: taken
  hours:
    description: How long the lease holds if nobody renews it or gives it back.
    type: int
    default: 2
  breaking:
    description: Run whose lease is to be broken.
    type: str
    default: ""
  purpose:
    description: What the run does, for the history.
    type: str
    default: ""
  identity:
    description: Owner, machine, boot, process and run. Set by the action plugin.
    type: dict
    default: {}
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Take the cluster's lease
  nimctl.multinode.lease:
    cluster: "{{ nim_cluster }}"
"""

RETURN = r"""
holder:
  description: The lease of somebody else that stands in the way.
  returned: when there is one
  type: dict
drained:
  description: Who drained this node, since when and why; empty where it is not drained.
  returned: when nobody stands in the way
  type: dict
refused:
  description: Why this run must not go on, for a person. In check mode a warning says it instead.
  returned: when there is such a lease, outside check mode
  type: str
"""

import fcntl
import json
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils import bundle
from ansible_collections.nimctl.multinode.plugins.module_utils.drain import Drains
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import (
    STATE,
    make_folders,
    read,
    write_atomic,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.lease import holder, refusal

HISTORY_LINES = 1000


def work(module: AnsibleModule) -> None:
    folder = STATE / module.params["cluster"]
    if module.check_mode:
        _take(module, folder / "lease.json")
        module.exit_json(changed=False, drained=_drained(module))
    make_folders(folder)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if module.params["state"] == "taken":
            _take(module, folder / "lease.json")
        else:
            _give_back(module, folder)
    module.exit_json(changed=False, drained=_drained(module))


def _drained(module: AnsibleModule) -> dict:
    return Drains(module.params["cluster"]).record() or {}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["taken", "released", "returned"], "default": "taken"},
            "hours": {"type": "int", "default": 2},
            "breaking": {"type": "str", "default": ""},
            "purpose": {"type": "str", "default": ""},
            "identity": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


def _present(path: Path) -> dict | None:
    text = read(path)
    try:
        return json.loads(text) if text else None
    except ValueError:
        # Only a power loss leaves half a file, and then nobody runs any more.
        return None


def _take(module: AnsibleModule, path: Path) -> None:
    now = time.time()
    identity = module.params["identity"]
    present = _present(path)
    other = holder(present, identity["run"], now, module.params["breaking"])
    if module.check_mode:
        if other and module.params["state"] == "taken":
            module.exit_json(
                changed=False, holder=other, refusal=refusal(module.params["cluster"], other, now)
            )
        return
    if other:
        said = refusal(module.params["cluster"], other, now)
        module.fail_json(msg=said, holder=other, refused=said)
    renewed = bool(present and present["run"] == identity["run"])
    if not renewed:
        # What a run that broke off has left: whether this one has a bundle shows later.
        bundle.deactivate()
    since = present["since"] if renewed else now
    lease = {**identity, "since": since, "expires": now + 3600 * module.params["hours"]}
    write_atomic(path, json.dumps(lease, sort_keys=True) + "\n", 0o644)


def _give_back(module: AnsibleModule, folder: Path) -> None:
    identity = module.params["identity"]
    present = _present(folder / "lease.json")
    if not present or present["run"] != identity["run"]:
        return
    if module.params["state"] == "released":
        _note_down(module, folder, present)
    bundle.deactivate()
    (folder / "lease.json").unlink()


def _note_down(module: AnsibleModule, folder: Path, present: dict) -> None:
    identity = module.params["identity"]
    entry = {
        "run": identity["run"],
        "owner": identity["owner"],
        "purpose": module.params["purpose"],
        "began": round(present["since"]),
        "ended": round(time.time()),
    }
    history = folder / "history.jsonl"
    lines = [*(read(history) or "").splitlines(), json.dumps(entry, sort_keys=True)][-HISTORY_LINES:]
    write_atomic(history, "".join(f"{line}\n" for line in lines), 0o644)


if __name__ == "__main__":
    main()
