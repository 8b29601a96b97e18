"""Collect what waits from the results of all nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

UNREACHED = (
    "it could not be reached; what runs there was left as it is, and its ranks are removed once it can be"
)


def collect(
    nodes: Iterable[str], hostvars: Mapping[str, Mapping[str, Any]], results: Iterable[str]
) -> list[str]:
    """One line for each thing that waits, in the order of the nodes."""
    names = list(results)
    found: list[str] = []
    for node in nodes:
        for name in names:
            result = hostvars[node].get(name) or {}
            if result.get("unreachable"):
                found.append(f"{node}: {UNREACHED}")
            for each in [result, *result.get("results", [])]:
                found += [f"{node}: {reason}" for reason in each.get("pending") or []]
    # Results of several tasks may say the same.
    return list(dict.fromkeys(found))


class ActionModule(ActionBase):
    """Works on the controller alone."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Collect, print and hand on."""
        super().run(tmp, task_vars)
        self.validate_argument_spec(
            argument_spec={"results": {"type": "list", "elements": "str", "required": True}}
        )
        variables = task_vars or {}
        nodes = variables["groups"].get("nim_cluster_nodes", [])
        pending = collect(nodes, variables["hostvars"], self._task.args["results"])
        result: dict[str, Any] = {"changed": False, "pending": pending}
        if pending:
            Display().display(
                "What waits:\n" + "".join(f"  {line}\n" for line in pending), color=C.COLOR_CHANGED
            )
            result["ansible_stats"] = {
                "data": {"nim_pending": pending},
                "per_host": False,
                "aggregate": False,
            }
        return result
