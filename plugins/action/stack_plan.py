"""Read the host, then decide on the controller what layers of its stack have to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase

try:
    from nimctl.bundle.store import open_bundle
    from nimctl.bundle.use import offered
    from nimctl.errors import NimctlError
    from nimctl.stack import compatibility, versions
    from nimctl.stack.host import Host
    from nimctl.stack.layers import LAYERS, ROLES
    from nimctl.stack.plan import COSTS, LayerPlan
    from nimctl.stack.planning import ask_until_planned, settings_of
    from nimctl.stack.ports import discovered
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

from ansible_collections.nimctl.multinode.plugins.plugin_utils.descriptions import descriptions
from ansible_collections.nimctl.multinode.plugins.plugin_utils.role_questions import has_role, question

PROBE = "nimctl.multinode.host_probe"
OFFERS = "nimctl.multinode.package_offers"
ENDPOINTS = "nimctl.multinode.endpoints"


class ActionModule(ActionBase):
    """Runs ``host_probe`` on the node, and ``package_offers`` where a planner has to know."""

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Give the plan of one layer with all that its role reads, or the plans and refusals of several."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "layer": {"type": "str"},
                "layers": {"type": "list", "elements": "str"},
                "settings": {"type": "dict", "default": {}},
                "context": {"type": "dict", "default": {}},
            },
            required_one_of=[("layer", "layers")],
            mutually_exclusive=[("layer", "layers")],
        )
        if IMPORT_ERROR is not None:
            raise AnsibleActionFail(
                "the Python package nimctl is missing in the environment of ansible-core; install it there "
                f"with `pip install nimctl` ({IMPORT_ERROR})"
            )
        variables = task_vars or {}
        try:
            tables = versions.load(self._folder(variables))
            if arguments["layer"]:
                return self._one(arguments, tables, variables)
            return self._several(arguments["layers"], tables, variables)
        except NimctlError as error:
            raise AnsibleActionFail(str(error)) from error

    def _one(
        self, arguments: dict[str, Any], tables: versions.Versions, variables: dict[str, Any]
    ) -> dict[str, Any]:
        probed = self._probe(variables)
        plans = planned_before(variables) if self._task.check_mode else {}
        plan = self._plan(
            arguments["layer"], probed, arguments["settings"], arguments["context"], plans, tables, variables
        )
        return {"changed": False, "plan": dict(plan.values), **asdict(plan), "host": probed}

    def _several(
        self, layers: list[str], tables: versions.Versions, variables: dict[str, Any]
    ) -> dict[str, Any]:
        """Plan the layers whose roles the collection has, in their order; a refusal ends no other layer."""
        for layer in layers:
            if layer not in LAYERS:
                raise AnsibleActionFail(f"layers: found {layer!r}, expected some of {', '.join(LAYERS)}")
        wanted = [layer for layer in LAYERS if layer in layers and has_role(ROLES[layer])]
        result: dict[str, Any] = {"changed": False, "plans": {}, "refused": [], "cost": "none"}
        if not wanted:
            return result
        try:
            probed = self._probe(variables)
        except AnsibleActionFail as error:
            # Told with what other nodes refuse, instead of as the only thing that is wrong.
            return {**result, "refused": [f"this node could not be read: {error.message}"]}
        here = variables.get("nim_rank_address") or ""
        result["fabric"] = asdict(
            discovered(Host.from_probe(probed), variables.get("nim_fabric") or {}, here)
        )
        plans: dict[str, LayerPlan] = {}
        wishes: dict[str, Any] = {}
        for layer in wanted:
            try:
                settings, context = question(ROLES[layer], variables, self._loader, self._templar)
                wishes[layer] = settings_of(layer, settings)
                plans[layer] = self._plan(layer, probed, settings, context, plans, tables, variables)
            except NimctlError as error:
                result["refused"].append(_with_layer(layer, str(error)))
            except AnsibleError as error:
                result["refused"].append(_with_layer(layer, error.message))
        conflicts = compatibility.conflicts(Host.from_probe(probed), wishes, plans, tables)
        result["refused"] += map(str, conflicts)
        result["refused"] += [
            _differs(layer, plan)
            for layer, plan in plans.items()
            if _only_checked(wishes[layer]) and plan.will
        ]
        result["plans"] = {layer: _brief(plan, wishes[layer]) for layer, plan in plans.items()}
        result["cost"] = max((plan.cost for plan in plans.values()), key=COSTS.index, default="none")
        return result

    def _plan(
        self,
        layer: str,
        probed: dict[str, Any],
        settings: dict[str, Any],
        context: dict[str, Any],
        plans: dict[str, LayerPlan],
        tables: versions.Versions,
        variables: dict[str, Any],
    ) -> LayerPlan:
        def offers(repository: Any, names: tuple[str, ...]) -> dict[str, list[str]]:
            if variables.get("nimctl_bundle"):
                return self._bundled(probed, names, variables)
            asked = {"repository": asdict(repository), "names": list(names)}
            return dict(self._on_host(OFFERS, asked, variables)["offers"])

        planned = ask_until_planned(layer, probed, settings, context, offers, plans=plans, tables=tables)
        if planned.values.get("reach"):
            self._on_host(ENDPOINTS, {"endpoints": planned.values["reach"]}, variables)
        return planned

    def _bundled(
        self, probed: dict[str, Any], names: tuple[str, ...], variables: dict[str, Any]
    ) -> dict[str, list[str]]:
        """What the bundle of this run has, whatever repositories the node knows."""
        store = open_bundle(Path(self._templar.template(variables["nimctl_bundle"])))
        return offered(store, probed, names)

    def _folder(self, variables: dict[str, Any]) -> Path | None:
        """The folder of the description, whose stack.yml may have rows of the user's own."""
        found = descriptions(variables.get("ansible_inventory_sources") or [])
        return found[0].parent if found else None

    def _probe(self, variables: dict[str, Any]) -> dict[str, Any]:
        # A lab gives its nodes the hardware of a recorded host by these variables; real hosts have their own.
        places = {
            name: self._templar.template(variables.get(f"nim_probe_{name}", "/"))
            for name in ("kernel", "root")
        }
        entries = self._templar.template(variables.get("storage_local_entries") or [])
        asked = {**places, "folders": [str(entry["mount"]) for entry in entries]}
        return dict(self._on_host(PROBE, asked, variables)["host"])

    def _on_host(self, module: str, arguments: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(module, module_args=arguments, task_vars=variables)
        if result.get("failed"):
            raise AnsibleActionFail(str(result.get("msg") or result))
        return result


def planned_before(variables: Mapping[str, Any]) -> dict[str, LayerPlan]:
    """What roles that ran before have registered: in check mode nothing of it is to be seen on the host."""
    found = {}
    for name, result in variables.items():
        if name.startswith("__") and isinstance(result, Mapping) and {"layer", "values"} <= set(result):
            found[result["layer"]] = LayerPlan(result["layer"], result["values"])
    return found


def _only_checked(wish: Any) -> bool:
    return getattr(wish, "mode", "") == "verify"


def _differs(layer: str, plan: LayerPlan) -> str:
    """What keeps a run from a layer that is somebody else's and not as it is described."""
    return (
        f"{layer}: it is only checked here (mode: verify), and differs: {'; '.join(plan.will)}. Change it, "
        "change the description, or set mode: managed"
    )


def _with_layer(layer: str, message: str) -> str:
    """Planners mostly begin with the name of their layer."""
    return message if message.startswith(f"{layer}:") else f"{layer}: {message}"


def _brief(plan: LayerPlan, wish: Any) -> dict[str, Any]:
    """What others need of a plan, with the version to lock; the role asks for its values again."""
    managed = getattr(wish, "mode", "managed") == "managed"
    return {
        "version": str(plan.values.get("version") or "") if managed else "",
        "will": list(plan.will),
        "cost": plan.cost,
        "pending": list(plan.pending),
        "notes": list(plan.notes),
    }
