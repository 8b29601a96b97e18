#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: rank_health
short_description: Wait until the ranks of a node are well
description:
  - A rank is well when it has run for O(settle) seconds, and a leader when its health check answers 200 as
    well. Its
    deadline counts from the start of its unit.
  - A rank that keeps restarting is reported at once, with the last lines of its log.
  - Where ranks are supervised, a leader is well when its supervisor says that the replica serves. A replica
    that waits for a node that is away is reported after O(absent) seconds.
  - A rank that is held, because a node of its replica is drained, is not waited for.
  - Check mode waits for nothing.
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
  undefined:
    description: Whether a rank without a unit is passed over, because it is not deployed yet, or is an error.
    type: str
    choices: [failed, passed]
    default: failed
  settle:
    description: How long a rank has to run without a restart, in seconds.
    type: int
    default: 3
  least:
    description: The shortest time that a leader is waited for, in seconds, also when its deadline is long
      over.
    type: int
    default: 10
  absent:
    description: How long a replica may wait for a node that is not heard of, in seconds.
    type: int
    default: 60
extends_documentation_fragment: [nimctl.multinode.modes]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Wait for the ranks of this node
  nimctl.multinode.rank_health:
    ranks: "{{ nim_ranks }}"
"""

RETURN = r"""
ready:
  description: For each rank the seconds that were waited for it.
  returned: always
  type: dict
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils import supervision
from ansible_collections.nimctl.multinode.plugins.module_utils.drain import Drains
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.http import ask, url_of
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import (
    RUNNING,
    keeps_restarting,
    unit_name,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.supervision import (
    is_supervised,
    supervisor_unit,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import journal, show


class Watch:
    """One rank that is waited for."""

    def __init__(self, module: AnsibleModule, rank: dict) -> None:
        self.module = module
        self.rank = rank
        self.unit = unit_name(rank["name"])
        self.health = rank["health"]
        self.restarts = int(self.state()["NRestarts"] or 0)
        self.last_answer = "it was never asked"

    def state(self) -> dict[str, str]:
        """The unit's present state."""
        return show(
            self.module.run_command,
            [self.unit],
            ["LoadState", "ActiveState", "SubState", "NRestarts", "ActiveEnterTimestampMonotonic"],
        )[self.unit]

    def age(self, state: dict[str, str]) -> float:
        """Seconds since the unit became active; 0 while it is not."""
        entered = int(state["ActiveEnterTimestampMonotonic"] or 0) / 1e6
        return (
            max(0.0, time.clock_gettime(time.CLOCK_MONOTONIC) - entered)
            if state["ActiveState"] == "active" and entered
            else 0.0
        )

    def well(self, state: dict[str, str]) -> bool:
        """Whether there is nothing to wait for any more."""
        if state["ActiveState"] != "active":
            self.last_answer = f"its unit is {state['ActiveState']} ({state['SubState']})"
            return False
        if self.age(state) < self.module.params["settle"]:
            # Also for a leader: until then, something else may be answering on its port.
            return False
        if not self.health:
            return True
        status, text = 0, ""
        # An engine that was told to listen on :: may not be on 127.0.0.1.
        for host in dict.fromkeys(("127.0.0.1", self.rank.get("address") or "127.0.0.1")):
            status, text = ask(url_of(host, self.health["port"], self.health["path"]), timeout=5)
            if status:
                break
        self.last_answer = f"its health check answered {status or text}"
        return status == 200

    def wrong(self, state: dict[str, str], waited: float) -> str:
        """What makes waiting useless; an empty text while nothing does."""
        now = int(state["NRestarts"] or 0)
        if keeps_restarting(self.restarts, now, state["ActiveState"], state["SubState"]):
            return f"ends again and again ({now} restarts so far)"
        return "does not run" if state["ActiveState"] == "inactive" else ""

    def fail(self, what: str) -> None:
        """End with what happened, the rank's own last words, and what to do."""
        lines = "\n  ".join(journal(self.module.run_command, self.unit)) or "(its log is empty)"
        name = self.rank["name"]
        others = (
            ""
            if self.rank["nodes"] == 1
            else " The other ranks of the replica may know more: "
            f"nimctl logs -i DIR {self.rank['deployment']}."
        )
        self.module.fail_json(
            msg=f"Rank {name} {what}.\nIts last lines:\n  {lines}\n"
            f"The whole log: journalctl -u {self.unit} on this node.{others} Mend the cause and run again."
        )


class SupervisedWatch(Watch):
    """One rank that its supervisor starts, when the replica is complete, and starts again."""

    def __init__(self, module: AnsibleModule, rank: dict) -> None:
        super().__init__(module, rank)
        self.began = self._said().get("restarts", 0)

    def _said(self) -> dict:
        return supervision.state(self.module.params["cluster"], self.rank["name"])

    def well(self, state: dict[str, str]) -> bool:
        """Whether the replica serves; a worker is well when it runs, since rank 0 speaks for all."""
        said = self._said()
        if self.health and said.get("state") != "serving":
            self.last_answer = f"its supervisor says: {said.get('state', 'nothing yet')}"
            return False
        return super().well(state)

    def wrong(self, state: dict[str, str], waited: float) -> str:
        """What makes waiting useless, by what the supervisor says."""
        said = self._said()
        unit = supervisor_unit(self.rank["name"])
        supervisor = show(self.module.run_command, [unit], ["ActiveState"])[unit]["ActiveState"]
        if supervisor not in RUNNING:
            return f"has a supervisor that does not run ({unit} is {supervisor})"
        if not self.health:
            return ""
        reason = said.get("reason") or "it gives no reason"
        if said.get("state") == "failed":
            return f"was given up by its supervisor after {said.get('attempts')} starts: {reason}"
        if said.get("restarts", 0) - self.began >= 3:
            return f"is started again and again with its replica: {reason}"
        if said.get("waits_for") and waited >= self.module.params["absent"]:
            away = ", ".join(said["waits_for"])
            return (
                f"waits for {away}, of which nothing is heard; the replica starts by itself when it is back"
            )
        return ""


def work(module: AnsibleModule) -> None:
    if module.check_mode:
        module.exit_json(changed=False, ready={})
    began = time.monotonic()
    drains = Drains(module.params.get("cluster") or "")
    waiting = [
        (SupervisedWatch if is_supervised(rank) and module.params.get("cluster") else Watch)(module, rank)
        for rank in module.params["ranks"]
        if not module.params.get("cluster") or not drains.holds(rank["name"])
    ]
    if module.params["undefined"] == "passed":
        waiting = [watch for watch in waiting if watch.state()["LoadState"] != "not-found"]
    ready: dict[str, float] = {}
    while waiting:
        for watch in list(waiting):
            state = watch.state()
            waited = time.monotonic() - began
            if watch.well(state):
                ready[watch.rank["name"]] = round(waited, 1)
                waiting.remove(watch)
            elif watch.wrong(state, waited):
                watch.fail(watch.wrong(state, waited))
            elif _too_late(watch, state, waited):
                watch.fail(
                    f"was not ready within {watch.health.get('deadline', 60)} s of its start; "
                    f"{watch.last_answer}"
                )
        if waiting:
            time.sleep(0.5)
    module.exit_json(changed=False, ready=ready)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "ranks": {"type": "list", "elements": "dict", "required": True},
            "cluster": {"type": "str", "default": ""},
            "undefined": {"type": "str", "choices": ["failed", "passed"], "default": "failed"},
            "settle": {"type": "int", "default": 3},
            "least": {"type": "int", "default": 10},
            "absent": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


def _too_late(watch: Watch, state: dict[str, str], waited: float) -> bool:
    deadline = watch.health.get("deadline", 60)
    return waited >= watch.module.params["least"] and max(watch.age(state), waited) >= deadline


if __name__ == "__main__":
    main()
