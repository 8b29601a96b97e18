"""Say who drains a node, and when."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.nimctl.multinode.plugins.action.lease import identity


class ActionModule(ActionBase):
    """Completes the record, then lets the node keep or drop it."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, then on the node."""
        super().run(tmp, task_vars)
        arguments = {**self._task.args, "by": identity()["owner"], "since": int(time.time())}
        result: dict[str, Any] = self._execute_module(
            "nimctl.multinode.drain", module_args=arguments, task_vars=task_vars
        )
        return result
