"""Keep new firewall rules only after a fresh connection came through them."""

from __future__ import annotations

import os
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import connection_loader

try:
    from nimctl.description.document import Firewall
    from nimctl.stack.layers.firewall import wanted
    from nimctl.stack.planning import settings_of
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

FRESH = "-o ControlMaster=no -o ControlPath=none"
"""SSH takes the first value of an option; with these it shares no connection that is open already."""


class ActionModule(ActionBase):
    """Load, connect anew, confirm; where no connection comes through, restore over the old one."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, then on the node."""
        super().run(tmp, task_vars)
        node = self._task.args.get("node")
        if not node:
            return self._load(task_vars)
        try:
            self._task.args = {**self._task.args, **self._wanted(node, task_vars or {})}
            return self._load(task_vars)
        except AnsibleConnectionFailure:
            reason = f"the firewall of {node} does not know the present nodes yet, because it was not reached"
            return {"changed": False, "pending": [f"{reason}; run again when it is there"]}

    def _load(self, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result = self._module("load", task_vars)
        if not result.get("waiting"):
            return result
        old = self._connection
        try:
            self._connection = self._fresh()
            confirmed = self._module("confirm", task_vars)
        except AnsibleConnectionFailure as error:
            self._connection = old
            raise AnsibleActionFail(
                "The new firewall rules do not let a fresh connection of the controller in, so the former "
                f"ones came back. {self._restored(task_vars)} Nothing else was changed. ({error.message})"
            ) from error
        finally:
            self._connection = old
        if confirmed.get("failed"):
            return confirmed
        return {**result, "waiting": False}

    @staticmethod
    def _wanted(node: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        """What the variables of another node say of its firewall."""
        if IMPORT_ERROR is not None:
            raise AnsibleActionFail(
                "the Python package nimctl is missing in the environment of ansible-core; install it there "
                f"with `pip install nimctl` ({IMPORT_ERROR})"
            )
        known = task_vars["hostvars"][node]
        given = {
            name: known[f"firewall_{name}"] for name in Firewall.model_fields if f"firewall_{name}" in known
        }
        ranks = known.get("nim_ranks") or []
        # Which nodes follow is said by who calls; those without ranks have no table.
        settings = settings_of("firewall", given)
        if not ranks:
            return {"state": "absent"}
        first = task_vars["hostvars"][known["nim_first_node"]]
        rules = known.get("firewall_rules") or []
        return wanted(settings, ranks, first["nim_cluster_addresses"], rules)

    def _restored(self, task_vars: dict[str, Any] | None) -> str:
        try:
            restored = self._module("restore", task_vars)
        except AnsibleConnectionFailure:
            return "The timer of the node restores them."
        if restored.get("failed"):
            return f"The timer of the node restores them, because an order to do so failed: {restored['msg']}"
        return "They were restored at once."

    def _module(self, step: str, task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            "nimctl.multinode.firewall", module_args={**self._task.args, "step": step}, task_vars=task_vars
        )
        if result.get("unreachable"):
            raise AnsibleConnectionFailure(str(result.get("msg")))
        return result

    def _fresh(self) -> Any:
        """A connection with the settings of this one that shares nothing with it."""
        old = self._connection
        if old.transport != "ssh":
            return old
        found = connection_loader.get_with_context(
            "ssh", self._play_context, task_uuid=self._task._uuid, ansible_playbook_pid=str(os.getppid())
        )
        fresh = found.object
        fresh.set_become_plugin(old.become)
        fresh._shell = old._shell
        fresh._options = {**old._options, "ssh_args": f"{FRESH} {old.get_option('ssh_args') or ''}"}
        return fresh
