"""Write what is missing to ``cluster.lock.yml`` before a run; refuse placements that must not be started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

try:
    from nimctl.errors import NimctlError
    from nimctl.lock import format_lock, lock_file
    from nimctl.locking import plan
    from nimctl.registry import access, digest
    from nimctl.resolve import check_runnable
except ImportError as error:
    IMPORT_ERROR: ImportError | None = error
else:
    IMPORT_ERROR = None

from ansible_collections.nimctl.multinode.plugins.plugin_utils.descriptions import descriptions


class ActionModule(ActionBase):
    """Works on the controller alone."""

    _requires_connection = False

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Lock every description among the sources of the inventory."""
        super().run(tmp, task_vars)
        self.validate_argument_spec(argument_spec={"path": {"type": "path"}})
        if IMPORT_ERROR is not None:
            raise AnsibleActionFail(
                "the Python package nimctl is missing in the environment of ansible-core; install it there "
                f"with `pip install nimctl` ({IMPORT_ERROR})"
            )
        variables = task_vars or {}
        result: dict[str, Any] = {"changed": False, "files": [], "changes": [], "notes": [], "diff": []}
        for path in self._descriptions(variables):
            try:
                self._lock(path, variables, result)
            except NimctlError as error:
                raise AnsibleActionFail(str(error)) from error
        return result

    def _descriptions(self, variables: dict[str, Any]) -> list[Path]:
        """The descriptions that this run takes its inventory from; none for an inventory of another kind."""
        given = self._task.args.get("path")
        return descriptions([given] if given else variables.get("ansible_inventory_sources") or [])

    def _lock(self, path: Path, variables: dict[str, Any], result: dict[str, Any]) -> None:
        def vault(name: str) -> str:
            hosts = variables.get("groups", {}).get("nim_cluster_nodes") or ["localhost"]
            return str(variables["hostvars"][hosts[0]].get(name) or "")

        def lookup(cluster: Any, image: str) -> str:
            return digest(image, access(cluster, image, vault))

        found = plan(path, None if self._task.check_mode else lookup)
        check_runnable(found.placement)
        result["notes"] += [note for note in found.placement.notes if "has no digest yet" not in note]
        if not found.changes and not found.unknown:
            return
        result["changed"] = True
        file = lock_file(found.folder)
        result["files"].append(str(file))
        result["changes"] += [str(change) for change in found.changes]
        result["changes"] += [f"+ image {reference}: to be looked up" for reference in found.unknown]
        result["diff"].append(
            {
                "before_header": str(file),
                "after_header": str(file),
                "before": file.read_text(encoding="utf-8") if file.exists() else "",
                "after": format_lock(found.after),
            }
        )
        if not self._task.check_mode:
            found.write()
