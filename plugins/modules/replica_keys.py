#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: replica_keys
short_description: Have a key for every replica that is led from a node
description:
  - Supervisors of a replica prove to each other with a key that they belong to it. It is made where rank 0
    is, kept in a file that only root reads, and given to the other nodes by P(nimctl.multinode.ranks#module).
  - Returns the keys, so use it with C(no_log).
version_added: 0.1.0
options:
  cluster:
    description: Name of the cluster.
    type: str
    required: true
  ranks:
    description: The ranks of this node, as in C(nim_ranks).
    type: list
    elements: dict
    required: true
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Have the keys of the replicas that are led from here
  nimctl.multinode.replica_keys:
    cluster: "{{ nim_cluster }}"
    ranks: "{{ nim_ranks }}"
  register: keys
  no_log: true
"""

RETURN = r"""
keys:
  description: The keys, by replica.
  returned: always
  type: dict
"""

import secrets
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import make_folders, read, write_atomic
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import replica_of
from ansible_collections.nimctl.multinode.plugins.module_utils.supervision import is_supervised, key_path


def work(module: AnsibleModule) -> None:
    keys, made = {}, []
    for rank in module.params["ranks"]:
        if rank["rank"] or rank["nodes"] == 1 or not is_supervised(rank):
            continue
        path = Path(key_path(module.params["cluster"], replica_of(rank)))
        key = (read(path) or "").strip()
        if not key:
            made.append(replica_of(rank))
            if module.check_mode:
                continue
            key = secrets.token_hex(32)
            make_folders(path.parent)
            path.parent.parent.chmod(0o700)
            write_atomic(path, f"{key}\n", 0o600)
        keys[replica_of(rank)] = key
    module.exit_json(changed=bool(made), keys=keys)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "ranks": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
