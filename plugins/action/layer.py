"""Render the templates of ``layer`` on the controller."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.nimctl.multinode.plugins.plugin_utils.render import completed


class ActionModule(ActionBase):
    """Turn ``template`` and ``source`` of files into ``content``, then let the module do all parts."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, then on the node."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments["parts"] = [
            {name: self._complete(name, given, task_vars or {}) for name, given in dict(part).items()}
            for part in arguments.get("parts") or []
        ]
        result: dict[str, Any] = self._execute_module(
            "nimctl.multinode.layer", module_args=arguments, task_vars=task_vars
        )
        return result

    def _complete(self, name: str, given: Any, task_vars: dict[str, Any]) -> Any:
        if name != "managed_files" or not given:
            return given
        files = [completed(self, dict(entry), task_vars) for entry in given.get("files") or []]
        return {**given, "files": files}
