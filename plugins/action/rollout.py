"""Tell the stage that takes nodes out of service what ``nimctl.rollout`` decides."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

try:
    from ansible_collections.nimctl.multinode.plugins.plugin_utils.serving import replicas, words

    from nimctl.errors import NimctlError
    from nimctl.rollout import batches, window
    from nimctl.rollout.changes import Found, find
    from nimctl.rollout.gate import refusal
    from nimctl.rollout.replicas import check_known
    from nimctl.stack.layers import ROLES
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

SPEC = {
    "step": {"type": "str", "required": True, "choices": ["plan", "batches", "gate", "wait", "verify"]},
    "results": {"type": "str", "default": ""},
    "leases": {"type": "str", "default": ""},
    "reboot_ok": {"type": "bool", "default": False},
    "batch": {"type": "str", "default": "25%"},
    "allow_gap": {"type": "raw", "default": []},
    "max_fail": {"type": "int", "default": 0},
    "start_nothing_after": {"type": "str", "default": ""},
    "rollout": {"type": "str", "default": ""},
    "seen": {"type": "str", "default": ""},
    "reason": {"type": "str", "default": ""},
}
ALONE = ("storage_servers", "nim_gateways")
"""Groups of nodes on which others depend."""


class ActionModule(ActionBase):
    """Works on the controller alone."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Decide one step."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(argument_spec=SPEC)
        if IMPORT_ERROR is not None:
            raise AnsibleActionFail(
                "the Python package nimctl is missing in the environment of ansible-core; install it there "
                f"with `pip install nimctl` ({IMPORT_ERROR})"
            )
        try:
            step = getattr(self, f"_{arguments['step']}")
            return {"changed": False, **step(arguments, task_vars or {})}
        except NimctlError as error:
            raise AnsibleActionFail(str(error)) from error

    def _plan(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        hosts, hostvars = variables["groups"].get("nim_nodes", []), variables["hostvars"]
        reached = set(variables["ansible_play_hosts"])
        alone = {node for group in ALONE for node in variables["groups"].get(group, ())}
        found = []
        for node in (node for node in hosts if node in reached):
            stack = hostvars[node].get(arguments["results"]) or {}
            lease = hostvars[node].get(arguments["leases"]) or {}
            found.append(Found.read(node, stack, lease.get("drained") or {}, node in alone))
        # Wrong words are said in every run, not first in the night in which something has to change.
        batches.size_of(arguments["batch"], len(hosts))
        allow_gap = words(arguments["allow_gap"])
        check_known(replicas(variables), allow_gap)
        changes, waiting = find(found, arguments["reboot_ok"])
        until = arguments["start_nothing_after"]
        deadline = window.deadline(until, datetime.now()).timestamp() if until else None
        following = "rollout_look" if changes else "rollout_wait" if waiting else "keep"
        return {
            "next": "keep" if self._task.check_mode else following,
            "nodes": [change.node for change in changes],
            "changes": [
                {"node": change.node, "unfinished": change.unfinished, "alone": change.alone}
                for change in changes
            ],
            "waiting": waiting,
            "roles": {item.node: [ROLES[layer] for layer in item.layers] for item in found},
            "batch": arguments["batch"],
            "allow_gap": allow_gap,
            "max_fail": arguments["max_fail"],
            "until": until,
            "deadline": deadline,
        }

    def _batches(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        before = variables[arguments["rollout"]]
        rollout = batches.plan(
            [batches.Change(**change) for change in before["changes"]],
            replicas(variables, arguments["seen"]),
            before["batch"],
            before["allow_gap"],
        )
        for number, batch in enumerate(rollout.batches, 1):
            stops = f"; stops {', '.join(batch.stops)}" if batch.stops else ""
            canary = " (canary)" if number == 1 else ""
            Display().display(f"batch {number}{canary}: {', '.join(batch.nodes)}{stops}")
        return {
            **{key: before[key] for key in ("roles", "max_fail", "until", "deadline")},
            "next": "rollout_wait",
            "nodes": [node for batch in rollout.batches for node in batch.nodes],
            "sizes": [len(batch.nodes) for batch in rollout.batches],
            "waiting": {**before["waiting"], **rollout.waiting},
        }

    def _gate(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        rollout, hostvars = variables[arguments["rollout"]], variables["hostvars"]
        failed = [node for node in rollout["nodes"] if hostvars[node].get("nim_rollout_failed")]
        reason = refusal(
            failed, rollout["max_fail"], rollout["until"], rollout["deadline"], datetime.now().timestamp()
        )
        return {"next": "rollout_hold" if reason else "rollout_change", "reason": reason}

    def _wait(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        return {"pending": [arguments["reason"]]}

    def _verify(self, arguments: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
        stack = variables.get(arguments["results"]) or {}
        wrong = [str(reason) for reason in stack.get("refused") or []]
        for layer, plan in (stack.get("plans") or {}).items():
            wrong += [f"{layer}: still to do: {line}" for line in plan.get("will") or []]
            wrong += [f"{layer}: still waits: {line}" for line in plan.get("pending") or []]
        if wrong:
            raise AnsibleActionFail("The node is not as it is wanted after its change. " + "; ".join(wrong))
        return {}
