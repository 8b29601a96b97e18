"""Read the host, then decide on the controller what one layer of its stack has to do."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

try:
    from nimctl.errors import NimctlError
    from nimctl.stack.planning import ask_until_planned
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

PROBE = "nimctl.multinode.host_probe"
OFFERS = "nimctl.multinode.package_offers"


class ActionModule(ActionBase):
    """Runs ``host_probe`` on the node, and ``package_offers`` where the planner has to know."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Give the plan of one layer, with all that its role reads."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "layer": {"type": "str", "required": True},
                "settings": {"type": "dict", "default": {}},
                "context": {"type": "dict", "default": {}},
            }
        )
        if IMPORT_ERROR is not None:
            raise AnsibleActionFail(
                "the Python package nimctl is missing in the environment of ansible-core; install it there "
                f"with `pip install nimctl` ({IMPORT_ERROR})"
            )
        variables = task_vars or {}
        # A lab gives its nodes the hardware of a recorded host by this variable; real hosts have their own.
        probed = self._on_host(PROBE, {"kernel": variables.get("nim_probe_kernel", "/")}, variables)

        def offers(repository: Any, names: tuple[str, ...]) -> dict[str, list[str]]:
            result = self._on_host(
                OFFERS, {"repository": asdict(repository), "names": list(names)}, variables
            )
            return dict(result["offers"])

        try:
            plan = ask_until_planned(
                arguments["layer"], probed["host"], arguments["settings"], arguments["context"], offers
            )
        except NimctlError as error:
            raise AnsibleActionFail(str(error)) from error
        return {"changed": False, "plan": dict(plan.values), **asdict(plan), "host": probed["host"]}

    def _on_host(self, module: str, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module, module_args=arguments, task_vars=variables)
        if result.get("failed"):
            raise AnsibleActionFail(str(result.get("msg") or result))
        return result
