"""Read the secrets of ``image_pull`` on the controller, and only where an image is missing."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.nimctl.multinode.plugins.module_utils.engine import login_for
from ansible_collections.nimctl.multinode.plugins.plugin_utils.secrets import SecretError, read_secret


class ActionModule(ActionBase):
    """Look first; then pull with the logins that the missing images need."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run on the controller, and on the node if it has ranks."""
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        if not arguments.get("images"):
            return {"changed": False, "images": []}
        found = self._module({**arguments, "only_look": True}, task_vars)
        if found.get("failed") or not found.get("images") or self._task.check_mode:
            return found
        logins = {}
        # With a bundle no registry is asked, and no password is needed.
        for image in found["images"] if not (task_vars or {}).get("nimctl_bundle") else ():
            login = login_for(image, arguments.get("logins") or [])
            if login is not None:
                logins[login["host"]] = self._with_password(
                    dict(login), image, arguments.get("secrets") or {}
                )
        return self._module({**arguments, "logins": list(logins.values())}, task_vars)

    def _module(self, arguments: dict[str, Any], task_vars: dict[str, Any] | None) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            "nimctl.multinode.image_pull", module_args=arguments, task_vars=task_vars
        )
        return result

    def _with_password(self, login: dict[str, Any], image: str, sources: dict[str, Any]) -> dict[str, Any]:
        try:
            login["password"] = read_secret(
                login["secret"], sources, self._templar.resolve_variable_expression, f"pulling {image}"
            )
        except SecretError as error:
            raise AnsibleActionFail(str(error)) from error
        return login
