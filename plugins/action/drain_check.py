"""Refuse a drain that would leave a deployment without a serving replica."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

try:
    from ansible_collections.nimctl.multinode.plugins.plugin_utils.serving import replicas, words

    from nimctl.errors import NimctlError
    from nimctl.rollout.nodes import chosen
    from nimctl.rollout.replicas import check_gaps, stopped
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None


class ActionModule(ActionBase):
    """Works on the controller alone."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Give the nodes and the replicas that they stop."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "nodes": {"type": "str", "default": ""},
                "allow_gap": {"type": "raw", "default": []},
                "seen": {"type": "str", "default": ""},
                "gaps": {"type": "bool", "default": True},
            }
        )
        if IMPORT_ERROR is not None:
            raise AnsibleActionFail(
                "the Python package nimctl is missing in the environment of ansible-core; install it there "
                f"with `pip install nimctl` ({IMPORT_ERROR})"
            )
        variables = task_vars or {}
        try:
            nodes = self._nodes(arguments["nodes"], variables)
            found = replicas(variables, arguments["seen"])
            if arguments["gaps"]:
                check_gaps(found, nodes, words(arguments["allow_gap"]))
        except NimctlError as error:
            raise AnsibleActionFail(str(error)) from error
        return {
            "changed": False,
            "nodes": nodes,
            "replicas": [replica.name for replica in stopped(found, nodes)],
        }

    @staticmethod
    def _nodes(text: str, variables: dict[str, Any]) -> list[str]:
        groups = variables["groups"]
        known = groups.get("nim_nodes", [])
        if text:
            return chosen([text], known, groups.get("nim_absent_nodes", []))
        if variables.get("ansible_limit"):
            return [node for node in known if node in variables["ansible_play_hosts_all"]]
        raise AnsibleActionFail(
            "Say which nodes: -e nimctl_nodes=gpu[01-02], or --limit. Nothing was changed."
        )
