"""Decide on the controller which ranks of this node to stop or start."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nimctl.multinode.plugins.module_utils.drain import told
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import (
    held,
    incomplete,
    replica_group,
    replica_of,
    restarts,
)


class ActionModule(ActionBase):
    """Look at every node of the replicas concerned, then order this one."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, and on the node if there is something to do."""
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = dict(self._task.args)
        if not arguments.get("found"):
            return self._order(arguments, task_vars)
        ranks = list(arguments.pop("ranks", None) or [])
        members = {replica_of(rank): self._members(rank, task_vars) for rank in ranks}
        plans = self._plans(
            {node for nodes in members.values() for node in nodes}, arguments["found"], task_vars
        )
        own = plans.get(task_vars["inventory_hostname"], {}).get("ranks", {})
        drained = {node: plan["drained"] for node, plan in plans.items() if plan.get("drained")}
        stopped = held(members, drained)
        left_alone = {
            replica: nodes
            for replica, nodes in incomplete(ranks, members, plans).items()
            if replica not in stopped
        }
        reasons = {
            replica: reason
            for replica, reason in restarts({node: plan["ranks"] for node, plan in plans.items()}).items()
            if replica in members and replica not in left_alone and replica not in stopped
        }
        arguments["names"] = [rank["name"] for rank in ranks if replica_of(rank) in reasons]
        if arguments["state"] == "stopped":
            holds = {rank["name"]: stopped[replica_of(rank)] for rank in ranks if replica_of(rank) in stopped}
            arguments["holds"] = {
                name: nodes
                for name, nodes in holds.items()
                if own[name].get("runs") or own[name].get("held") != nodes
            }
            arguments["names"] += arguments["holds"]
        result = self._order(arguments, task_vars) if arguments["names"] else {"changed": False, "names": []}
        result["reasons"] = reasons
        pending = [
            f"replica {replica} was left as it is, because this run did not reach {', '.join(nodes)}"
            for replica, nodes in sorted(left_alone.items())
        ]
        leads = {replica_of(rank) for rank in ranks if rank["rank"] == 0}
        pending += [
            f"replica {replica} stays stopped, because {' and '.join(told(n, drained[n]) for n in nodes)}"
            for replica, nodes in sorted(stopped.items())
            if replica in leads
        ]
        if left_alone:
            result["left_alone"] = left_alone
        if pending:
            result["pending"] = pending
        return result

    def _order(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Have the node do it."""
        result: dict[str, Any] = self._execute_module(
            "nimctl.multinode.rank_state", module_args=arguments, task_vars=task_vars
        )
        return result

    @staticmethod
    def _members(rank: dict[str, Any], task_vars: dict[str, Any]) -> list[str]:
        """The nodes of a rank's replica."""
        group = replica_group(rank)
        if group in task_vars["groups"]:
            return list(task_vars["groups"][group])
        if rank["nodes"] > 1:
            raise AnsibleActionFail(
                f"The inventory has no group {group}, so nobody knows which nodes have the other ranks "
                f"of {replica_of(rank)}."
            )
        return [task_vars["inventory_hostname"]]

    @staticmethod
    def _plans(nodes: set[str], variable: str, task_vars: dict[str, Any]) -> dict[str, Any]:
        """What ``ranks`` found on each node that it reached in this run."""
        found = {node: task_vars["hostvars"].get(node, {}).get(variable) for node in nodes}
        return {node: result for node, result in found.items() if result and "ranks" in result}
