"""Refuse together what any node refuses; lock the versions that all nodes have chosen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

try:
    from nimctl.errors import NimctlError
    from nimctl.fabrics import completed
    from nimctl.lock import Lock, format_lock, lock_file, read_lock, write_lock
    from nimctl.run.names import fold
    from nimctl.stack.locking import attachments, chosen, with_stack
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

from ansible_collections.nimctl.multinode.plugins.plugin_utils.descriptions import descriptions


def refusals(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line for each thing that is refused, with all nodes that refuse it, in the order of the nodes."""
    nodes: dict[str, list[str]] = {}
    for node, result in results.items():
        for reason in result.get("refused") or []:
            nodes.setdefault(str(reason), []).append(node)
    return [f"{fold(names)}: {reason}" for reason, names in nodes.items()]


class ActionModule(ActionBase):
    """Works on the controller alone."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with every refusal, else write the versions that are not locked yet."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={"results": {"type": "str", "required": True}, "path": {"type": "path"}}
        )
        if IMPORT_ERROR is not None:
            raise AnsibleActionFail(
                "the Python package nimctl is missing in the environment of ansible-core; install it there "
                f"with `pip install nimctl` ({IMPORT_ERROR})"
            )
        variables = task_vars or {}
        results = self._results(variables, arguments["results"])
        refused = refusals(results)
        if refused:
            raise AnsibleActionFail(
                "The host stack cannot become what the description asks for. Nothing was changed on any "
                "node.\n" + "\n".join(f"  {line}" for line in refused)
            )
        result: dict[str, Any] = {"changed": False, "files": [], "changes": [], "notes": [], "diff": []}
        result["reread"] = False
        given = arguments["path"]
        sources = [given] if given else variables.get("ansible_inventory_sources") or []
        try:
            for file in descriptions(sources):
                self._lock(file.parent, results, result)
        except NimctlError as error:
            raise AnsibleActionFail(str(error)) from error
        for note in result["notes"]:
            Display().display(f"note: {note}")
        return result

    def _results(self, variables: dict[str, Any], name: str) -> dict[str, Mapping[str, Any]]:
        """What the nodes of this play planned; nodes that could not be reached planned nothing."""
        nodes: Iterable[str] = variables.get("ansible_play_hosts") or []
        return {node: variables["hostvars"][node].get(name) or {} for node in nodes}

    def _lock(self, folder: Path, results: Mapping[str, Mapping[str, Any]], result: dict[str, Any]) -> None:
        before = read_lock(folder) or Lock()
        plans = {node: planned.get("plans") or {} for node, planned in results.items()}
        versions, notes = chosen(plans)
        result["notes"] += notes
        nodes = completed(before.nodes, attachments(results))
        after = replace(with_stack(before, versions), nodes=nodes)
        if after == before:
            return
        file = lock_file(folder)
        result["changed"] = True
        result["files"].append(str(file))
        added = sorted(after.stack.keys() - before.stack.keys())
        result["changes"] += [f"+ stack {layer}: {after.stack[layer]['version']}" for layer in added]
        found = [name for name in nodes if nodes[name] != before.nodes.get(name)]
        result["changes"] += [f"+ node {name}: {nodes[name]}" for name in found]
        # What roles and ranks are told of the fabric follows from the lock.
        result["reread"] = bool(found)
        result["diff"].append(
            {
                "before_header": str(file),
                "after_header": str(file),
                "before": format_lock(before),
                "after": format_lock(after),
            }
        )
        if not self._task.check_mode:
            write_lock(folder, after)
