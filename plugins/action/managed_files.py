"""Render the templates of ``managed_files`` on the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nimctl.multinode.plugins.plugin_utils.render import render


class ActionModule(ActionBase):
    """Turn ``template`` and ``source`` into ``content``, then let the module compare."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, then on the node."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments["files"] = [
            self._complete(dict(entry), task_vars or {}) for entry in arguments.get("files") or []
        ]
        result: dict[str, Any] = self._execute_module(
            "nimctl.multinode.managed_files", module_args=arguments, task_vars=task_vars
        )
        return result

    def _complete(self, entry: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        template = entry.pop("template", None)
        variables = entry.pop("variables", {})
        source = entry.pop("source", None)
        if template:
            entry["content"] = render(self, template, variables, task_vars)
        elif source:
            try:
                entry["content"] = Path(source).read_text(encoding="utf-8")
            except OSError as error:
                raise AnsibleActionFail(
                    f"{source} cannot be read on the controller: {error.strerror}"
                ) from error
        return entry
