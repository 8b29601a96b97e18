"""Render the units and environments of ``ranks`` on the controller, and read the secrets they need."""

from __future__ import annotations

import json
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import env_line, replica_of
from ansible_collections.nimctl.multinode.plugins.module_utils.supervision import (
    is_supervised,
    script_path,
    settings,
    settings_path,
)
from ansible_collections.nimctl.multinode.plugins.plugin_utils.render import render
from ansible_collections.nimctl.multinode.plugins.plugin_utils.secrets import SecretError, read_secret


class ActionModule(ActionBase):
    """Complete the ranks, then let the module compare."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, then on the node."""
        super().run(tmp, task_vars)
        arguments = {**self._task.args, "node": (task_vars or {}).get("inventory_hostname", "this node")}
        common = {"cluster": arguments.get("cluster"), "engine": arguments.get("engine")}
        ranks = [dict(rank) for rank in arguments.get("ranks") or []]
        arguments["ranks"] = [self._complete(rank, common, task_vars or {}) for rank in ranks]
        if not self._task.check_mode:
            arguments["values"] = self._values(ranks, arguments.get("secrets") or {})
        if any(is_supervised(rank) for rank in ranks):
            arguments["script"] = self._script()
            arguments["keys"] = self._keys(ranks, arguments.pop("found_keys", ""), task_vars or {})
        arguments.pop("found_keys", None)
        result: dict[str, Any] = self._execute_module(
            "nimctl.multinode.ranks", module_args=arguments, task_vars=task_vars
        )
        return result

    def _script(self) -> str:
        """The supervisor, as it is in the role."""
        try:
            return str(self._loader.get_text_file_contents(self._find_needle("files", "supervise.py")))
        except AnsibleError as error:
            raise AnsibleActionFail(str(error)) from error

    @staticmethod
    def _keys(ranks: list[dict[str, Any]], variable: str, task_vars: dict[str, Any]) -> dict[str, str]:
        """The keys of this node's replicas, as far as their leaders' nodes were reached in this run."""
        found: dict[str, str] = {}
        for rank in ranks:
            if is_supervised(rank) and rank["nodes"] > 1:
                leader = task_vars["hostvars"].get(rank["supervision"]["leader"], {})
                known = (leader.get(variable) or {}).get("keys", {}) if variable else {}
                if replica_of(rank) in known:
                    found[replica_of(rank)] = known[replica_of(rank)]
        return found

    def _complete(
        self, rank: dict[str, Any], common: dict[str, Any], task_vars: dict[str, Any]
    ) -> dict[str, Any]:
        try:
            lines = [env_line(name, value) for name, value in sorted(rank["environment"].items())]
        except ValueError as error:
            raise AnsibleActionFail(f"{rank['name']}: {error}") from error
        variables = {"rank": rank, "rank_common": common}
        supervised = is_supervised(rank)
        watched = {
            **variables,
            "rank_common": {
                **common,
                "script": script_path(common["cluster"]),
                "settings": settings_path(common["cluster"], rank["name"]),
            },
        }
        return {
            "nodes": rank["nodes"],
            "supervised": supervised,
            "supervisor_settings": json.dumps(
                settings(common["cluster"], common["engine"], rank), indent=1, sort_keys=True
            )
            + "\n"
            if supervised
            else "",
            "supervisor_unit": render(self, "supervise.service.j2", watched, task_vars) if supervised else "",
            "name": rank["name"],
            "deployment": rank["deployment"],
            "replica": rank["replica"],
            "rank": rank["rank"],
            "spec": rank["spec"],
            "mounts": [dict(mount) for mount in rank["mounts"]],
            "requires_mounts": list(rank["requires_mounts"]),
            "secrets": list(rank["secrets"]),
            "env_text": render(self, "rank.env.j2", {**variables, "rank_lines": lines}, task_vars),
            "unit_text": render(self, "rank.service.j2", variables, task_vars),
        }

    def _values(self, ranks: list[dict[str, Any]], sources: dict[str, Any]) -> dict[str, str]:
        values = {}
        for rank in ranks:
            for variable in rank["secrets"]:
                try:
                    values[variable] = read_secret(
                        variable.lower(),
                        sources,
                        self._templar.resolve_variable_expression,
                        f"the rank {rank['name']}",
                    )
                except SecretError as error:
                    raise AnsibleActionFail(str(error)) from error
        return values
