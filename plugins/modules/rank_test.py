#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: rank_test
short_description: Ask the leaders of a node for a completion, and see that its workers serve nothing
description:
  - A leader has to list a model and answer one chat completion of one token with it.
  - A worker must not answer HTTP on the port of its replica's API, unless a leader of the same node has that
    port.
  - A rank that is held, because a node of its replica is drained, is not asked.
  - Check mode asks nothing.
version_added: 0.1.0
options:
  ranks:
    description: The ranks of this node, as in C(nim_ranks).
    type: list
    elements: dict
    required: true
  cluster:
    description: Name of the cluster; without it, no rank counts as held.
    type: str
    default: ""
  timeout:
    description: How long one answer may take, in seconds.
    type: int
    default: 120
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Ask for a completion
  nimctl.multinode.rank_test:
    ranks: "{{ nim_ranks }}"
"""

RETURN = r"""
leaders:
  description: For each leader the model that answered, and in how many seconds.
  returned: always
  type: dict
"""

import json
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.drain import Drains
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.http import ask, url_of
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import unit_name
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import journal, show


def leader(module: AnsibleModule, rank: dict) -> dict:
    """One completion through a leader."""

    def fail(what: str) -> None:
        lines = "\n  ".join(journal(module.run_command, unit_name(rank["name"]), 15))
        module.fail_json(
            msg=f"Rank {rank['name']} is up, but {what}.\nIts last lines:\n  {lines}\n"
            "A replica that lost one of its ranks looks like this. Restart it as a whole: nimctl "
            "provision, after "
            f"systemctl stop {unit_name(rank['name'])} on this node."
        )

    def answer(path: str, body: dict | None = None) -> dict:
        # An engine that was told to listen on :: may not be on 127.0.0.1.
        host = rank["address"] if ":" in rank.get("address", "") else "127.0.0.1"
        url = url_of(host, rank["health"]["port"], path)
        status, text = ask(url, module.params["timeout"], body)
        if status != 200:
            fail(f"{path} answered {status or text}" + (f": {text[:300]}" if status else ""))
        try:
            return json.loads(text)
        except ValueError:
            fail(f"{path} answered no JSON: {text[:300]}")
            raise

    state = show(module.run_command, [unit_name(rank["name"])], ["ActiveState"])[unit_name(rank["name"])][
        "ActiveState"
    ]
    if state != "active":
        fail(f"its unit is {state}, whatever answers on its port")
    models = answer("/v1/models").get("data") or []
    if not models:
        fail("it lists no model")
    began = time.monotonic()
    result = answer(
        "/v1/chat/completions",
        {"model": models[0]["id"], "max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]},
    )
    if not result.get("choices"):
        fail(f"its completion has no choices: {str(result)[:300]}")
    return {"model": models[0]["id"], "seconds": round(time.monotonic() - began, 2)}


def worker(module: AnsibleModule, rank: dict, taken: set) -> None:
    """Nothing may answer HTTP where clients could mistake it for the API."""
    port = rank["api_port"]
    if port in taken:
        return
    status, _ = ask(url_of("127.0.0.1", port, "/v1/models"), 5)
    if status:
        module.fail_json(
            msg=f"Rank {rank['name']} is a worker, yet something on this node answers HTTP on port "
            f"{port} with {status}. "
            f"Only rank 0 may. Look with: ss -ltnp 'sport = :{port}'"
        )


def work(module: AnsibleModule) -> None:
    if module.check_mode:
        module.exit_json(changed=False, leaders={})
    drains = Drains(module.params.get("cluster") or "")
    ranks = [
        rank
        for rank in module.params["ranks"]
        if not module.params.get("cluster") or not drains.holds(rank["name"])
    ]
    leaders = [rank for rank in ranks if rank["rank"] == 0]
    taken = {rank["health"]["port"] for rank in leaders}
    found = {rank["name"]: leader(module, rank) for rank in leaders}
    for rank in ranks:
        if rank["rank"] != 0:
            worker(module, rank, taken)
    module.exit_json(changed=False, leaders=found)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "ranks": {"type": "list", "elements": "dict", "required": True},
            "cluster": {"type": "str", "default": ""},
            "timeout": {"type": "int", "default": 120},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
