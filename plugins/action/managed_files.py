"""Render the templates of ``managed_files`` on the controller."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.nimctl.multinode.plugins.plugin_utils.render import completed


class ActionModule(ActionBase):
    """Turn ``template`` and ``source`` into ``content``, then let the module compare."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, then on the node."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments["files"] = [
            completed(self, dict(entry), task_vars or {}) for entry in arguments.get("files") or []
        ]
        result: dict[str, Any] = self._execute_module(
            "nimctl.multinode.managed_files", module_args=arguments, task_vars=task_vars
        )
        return result
