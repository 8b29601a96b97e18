#!/usr/bin/python
from __future__ import annotations

DOCUMENTATION = r"""
module: ranks
short_description: Define the ranks of a node, and remove those that are no longer wanted
description:
  - Writes the unit and the environment of every rank, the secrets that ranks need, and the folders they
    mount.
  - Stops and removes ranks of the same cluster that are not in O(ranks), with all that belongs to them but
    their caches.
  - On a node that is drained, says so in RV(pending).
  - Starts and restarts nothing. It reports how each rank was found, for
    P(nimctl.multinode.rank_state#module) to act on.
  - Runs on the controller first, where it renders the templates of the role and reads the secrets that are
    needed.
version_added: 0.1.0
options:
  cluster:
    description: Name of the cluster; ranks of other clusters are left alone.
    type: str
    required: true
  engine:
    description: The container engine.
    type: str
    choices: [docker, podman]
    required: true
  ranks:
    description: The ranks of this node, as in C(nim_ranks).
    type: list
    elements: dict
    required: true
  purge:
    description: Whether the folders that were made for ranks go with the last rank, and with them the caches
      and models in them.
    type: bool
    default: false
  node:
    description: Name of this node in the inventory. Set by the action plugin.
    type: str
    default: this node
  secrets:
    description: Where secrets are read on the controller, as in C(nim_secrets).
    type: dict
    default: {}
  values:
    description: The secrets themselves, by variable. Set by the action plugin.
    type: dict
    default: {}
  script:
    description: The supervisor of ranks. Set by the action plugin.
    type: str
    default: ""
  found_keys:
    description: Name of the variable that P(nimctl.multinode.replica_keys#module) was registered in; its
      value is read for the nodes of the replicas' leaders.
    type: str
    default: ""
  keys:
    description: Keys of supervisors, by replica. Set by the action plugin.
    type: dict
    default: {}
extends_documentation_fragment: [nimctl.multinode.modes.diff]
author: [The nimctl authors]
"""

EXAMPLES = r"""
- name: Define the ranks of this node
  nimctl.multinode.ranks:
    cluster: "{{ nim_cluster }}"
    engine: podman
    ranks: "{{ nim_ranks }}"
"""

RETURN = r"""
ranks:
  description: For each rank its replica, the reason why it cannot stay as it runs (an empty text if it
    can), whether it runs, and the drained nodes for which it is held.
  returned: always
  type: dict
drained:
  description: Who drained this node, since when and why; nothing where it is not drained.
  returned: always
  type: dict
pending:
  description: That this node is drained.
  returned: where it is
  type: list
  elements: str
removed:
  description: Ranks that were removed.
  returned: always
  type: list
  elements: str
paths:
  description: Files and folders that changed.
  returned: always
  type: list
  elements: str
"""

import os
import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.nimctl.multinode.plugins.module_utils.drain import Drains
from ansible_collections.nimctl.multinode.plugins.module_utils.drain import told as drain_told
from ansible_collections.nimctl.multinode.plugins.module_utils.engine import LABEL, Engine
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import told
from ansible_collections.nimctl.multinode.plugins.module_utils.files import (
    File,
    Outcome,
    Record,
    apply,
    make_folders,
    read,
    remove,
    remove_if_empty,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.mounts import is_mounted
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import (
    RUNNING,
    UNIT_FOLDER,
    Seen,
    container_name,
    env_path,
    replica_of,
    restart_reason,
    secret_path,
    unit_marks,
    unit_name,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.supervision import (
    settings_path,
    supervisor_unit,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.supervisors import Supervisors
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import show

CACHE = "/var/cache/nimctl"
"""The only folder in which purging removes anything: elsewhere, others may keep their models."""
FOLDERS = ("/etc/nimctl/ranks", "/etc/nimctl/secrets")


class Ranks:
    """The ranks of one cluster on this node."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.check = module.check_mode
        self.cluster = module.params["cluster"]
        self.wanted = {rank["name"]: rank for rank in module.params["ranks"]}
        self.engine = Engine(module.params["engine"], module.run_command)
        self.outcome = Outcome()
        self.made = Record(self.cluster, "folders")
        self.drains = Drains(self.cluster, self.check)
        self.supervisors = Supervisors(self.cluster, self.wanted.values(), module.run_command, self.check)
        self.stale: list[str] = []
        self.units_before = self._units()
        self.containers = {
            container["name"]: container for container in self.engine.containers(f"{LABEL}={self.cluster}")
        }

    def _units(self) -> dict[str, str]:
        """The unit files of this cluster's ranks by rank; refuses a name that another cluster uses."""
        found = {}
        for path in sorted(Path(UNIT_FOLDER).glob("nim-*.service")):
            text = read(path) or ""
            owner = unit_marks(text).get("cluster")
            rank = path.name[len("nim-") : -len(".service")]
            if owner == self.cluster:
                found[rank] = text
            elif rank in self.wanted and owner is not None:
                self.module.fail_json(
                    msg=f"{path} belongs to the cluster {owner}. Give the deployment "
                    f"{self.wanted[rank]['deployment']} another "
                    f"name, or remove that cluster's ranks from this node first. Nothing was changed."
                )
        return found

    def systemctl(self, *arguments: str) -> None:
        """Give systemd an order."""
        if self.check:
            return
        status, out, err = self.module.run_command(["systemctl", *arguments])
        if status != 0:
            self.module.fail_json(msg=f"systemctl {' '.join(arguments)} failed: {err.strip() or out.strip()}")

    def remove_unwanted(self) -> list[str]:
        """Stop and remove what this cluster has here and should not."""
        units = sorted(set(self.units_before) - set(self.wanted))
        # First, lest they start what is about to go.
        supervisors = list(map(supervisor_unit, self.supervisors.unwanted))
        if supervisors:
            self.systemctl("disable", "--now", *supervisors)
            self.supervisors.remove(self.outcome)
        if units:
            self.systemctl("disable", "--now", *map(unit_name, units))
        for rank in units:
            remove(f"{UNIT_FOLDER}/{unit_name(rank)}", self.outcome, self.check)
        names = set(map(container_name, self.wanted))
        strays = sorted(set(self.containers) - names - set(map(container_name, units)))
        for container in sorted(set(self.containers) - names):
            if not self.check:
                self.engine.remove(container)
        for rank in set(self.drains.ranks()) - set(self.wanted):
            self.drains.release(rank)
        keep = {env_path(self.cluster, rank) for rank in self.wanted}
        keep |= {settings_path(self.cluster, rank) for rank in self.supervisors.wanted}
        self._remove_others(Path(env_path(self.cluster, "x")).parent, keep)
        return [*units, *(name[len("nim-") :] for name in strays)]

    def _remove_others(self, folder: Path, keep: set[str], secret: bool = False) -> None:
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if str(path) not in keep:
                    remove(str(path), self.outcome, self.check, secret=secret)

    def write(self) -> None:
        """Write what the wanted ranks consist of."""
        self._require_mounts()
        for rank in self.wanted.values():
            for mount in rank["mounts"]:
                self._folder(mount)
            apply(
                File(env_path(self.cluster, rank["name"]), rank["env_text"], mode=0o600),
                self.outcome,
                self.check,
            )
            apply(
                File(f"{UNIT_FOLDER}/{unit_name(rank['name'])}", rank["unit_text"]), self.outcome, self.check
            )
        self.stale = self.supervisors.write(self.module.params["script"], self.outcome)
        keep = set(self.supervisors.write_keys(self.module.params["keys"], self.outcome))
        for variable in sorted({name for rank in self.wanted.values() for name in rank["secrets"]}):
            path = secret_path(self.cluster, variable)
            keep.add(path)
            if variable in self.module.params["values"]:
                if len(self.module.params["values"][variable].splitlines()) != 1:
                    self.module.fail_json(msg=f"The secret behind {variable} is empty or has several lines.")
                text = f"{variable}={self.module.params['values'][variable]}\n"
                apply(File(path, text, mode=0o600, secret=True), self.outcome, self.check)
            elif not Path(path).exists():
                # Check mode reads no secrets; that the file is missing is all it needs to know.
                self.outcome.add(path, "", "(a secret)\n")
        self._remove_others(Path(secret_path(self.cluster, "x")).parent, keep, secret=True)
        if not self.check:
            for folder in FOLDERS:
                if Path(folder).is_dir():
                    # Names of ranks and variables are nobody else's business, let alone what is in them.
                    Path(folder).chmod(0o700)
            remove_if_empty([f"{folder}/{self.cluster}" for folder in FOLDERS])
            remove_if_empty([*FOLDERS, "/etc/nimctl"])

    def _require_mounts(self) -> None:
        wanted = sorted({path for rank in self.wanted.values() for path in rank["requires_mounts"]})
        # In check mode, the storage may be one that the same run would mount.
        missing = [
            path for path in wanted if not self.check and not is_mounted(self.module.run_command, path)
        ]
        if missing:
            self.module.fail_json(
                msg=f"{', '.join(missing)} should be a mounted storage and is not, or does not answer; ranks "
                "of this node read from it. Mount it, or see `journalctl -u` of its mount unit for why it is "
                "not, and run again. No rank was changed."
            )

    def _folder(self, mount: dict) -> None:
        path = Path(mount["source"])
        owner = mount.get("owner")
        if mount.get("read_only") and not path.exists() and not (self.check and self._on_storage(path)):
            # An empty folder in its place would hide that a storage is not mounted.
            self.module.fail_json(
                msg=f"{path} is not there, and ranks of this node read their weights from it. Is the storage "
                "mounted? Mount it, or put the weights there, and run again. No rank was changed."
            )
        if not path.exists():
            self.outcome.changed.append(str(path))
            if not self.check:
                if path.is_relative_to(CACHE):
                    self._remember(str(path))
                make_folders(path)
                if owner is not None:
                    os.chown(path, owner, owner)
        elif owner is not None and path.is_dir() and path.stat().st_uid != owner:
            self.outcome.changed.append(str(path))
            if not self.check:
                os.chown(path, owner, owner)

    def _on_storage(self, folder: Path) -> bool:
        mounts = {path for rank in self.wanted.values() for path in rank["requires_mounts"]}
        return any(folder.is_relative_to(path) for path in mounts)

    def _remember(self, folder: str) -> None:
        self.made.save({"folders": sorted({*self.made.content.get("folders", []), folder})})

    def purge(self) -> None:
        """Remove the folders that were made for ranks of this cluster, with all that is in them."""
        for folder in self.made.content.get("folders", []):
            if Path(folder).is_dir():
                self.outcome.changed.append(folder)
                if not self.check:
                    shutil.rmtree(folder)
                    remove_if_empty(
                        [str(Path(folder).parent)] if Path(folder).parent.name == "nimctl" else []
                    )
        if not self.check:
            self.made.save({})

    def needs_reload(self) -> bool:
        """Whether a run that was cut short wrote a unit and did not come to tell systemd."""
        names = [unit_name(rank) for rank in self.wanted] + self.supervisors.units
        units = show(self.module.run_command, names, ["NeedDaemonReload"])
        return any(state["NeedDaemonReload"] == "yes" for state in units.values())

    def enable(self) -> None:
        """Have every rank start with the node: by its supervisor, where it has one."""
        for rank in self.supervisors.wanted:
            if Path(UNIT_FOLDER, "multi-user.target.wants", unit_name(rank)).is_symlink():
                self.outcome.changed.append(f"{unit_name(rank)} disabled")
                self.systemctl("disable", "--quiet", unit_name(rank))
        units = show(self.module.run_command, self._starters(), ["UnitFileState"])
        missing = sorted(unit for unit, state in units.items() if state["UnitFileState"] != "enabled")
        if missing:
            self.outcome.changed.extend(f"{unit} enabled" for unit in missing)
            self.systemctl("enable", "--quiet", *missing)

    def _starters(self) -> list[str]:
        alone = [unit_name(rank) for rank in self.wanted if rank not in self.supervisors.wanted]
        return alone + self.supervisors.units

    def renew_supervisors(self) -> None:
        """Have supervisors that run work by what was written; the ranks beside them stay as they are."""
        if self.stale:
            self.systemctl("try-restart", *self.stale)

    def report(self) -> dict[str, dict]:
        """How each wanted rank was found before this run."""
        states = show(self.module.run_command, [unit_name(rank) for rank in self.wanted], ["ActiveState"])
        supervisors = self.supervisors.active()
        found = {}
        for name, rank in self.wanted.items():
            state = states[unit_name(name)]["ActiveState"]
            if name in supervisors and name in self.supervisors.before:
                # Its supervisor has it run, be it that the replica is just starting once more.
                state = "failed" if self.supervisors.gave_up(name) else supervisors[name]
            marks = unit_marks(self.units_before.get(name, ""))
            container = self.containers.get(container_name(name))
            seen = Seen(
                state=state,
                container_spec=container["labels"].get("nimctl.spec")
                if container and container["running"]
                else None,
                unit_spec=marks.get("spec"),
                unit_engine=marks.get("engine"),
            )
            reason = restart_reason(rank, self.module.params["engine"], seen)
            found[name] = {
                "replica": replica_of(rank),
                "reason": reason,
                "runs": seen.state in RUNNING,
                "held": self.drains.held(name),
            }
        return found


def work(module: AnsibleModule) -> None:
    ranks = Ranks(module)
    removed = ranks.remove_unwanted()
    ranks.write()
    if module.params["purge"] and not ranks.wanted:
        ranks.purge()
    if any(path.startswith(UNIT_FOLDER) for path in ranks.outcome.changed) or ranks.needs_reload():
        ranks.systemctl("daemon-reload")
    ranks.enable()
    ranks.renew_supervisors()
    drained = ranks.drains.record()
    module.exit_json(
        drained=drained or {},
        **({"pending": [_waits(module.params["node"], drained)]} if drained else {}),
        changed=bool(ranks.outcome.changed or removed),
        paths=ranks.outcome.changed,
        removed=removed,
        ranks=ranks.report(),
        diff=ranks.outcome.diff,
    )


def _waits(node: str, drained: dict) -> str:
    return f"{drain_told(node, drained)}; its ranks start again after: nimctl undrain {node}"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "str", "required": True},
            "engine": {"type": "str", "required": True, "choices": ["docker", "podman"]},
            "ranks": {"type": "list", "elements": "dict", "required": True},
            "purge": {"type": "bool", "default": False},
            "node": {"type": "str", "default": "this node"},
            "secrets": {"type": "dict", "default": {}, "no_log": False},
            "script": {"type": "str", "default": ""},
            "found_keys": {"type": "str", "default": "", "no_log": False},
            "keys": {"type": "dict", "default": {}, "no_log": True},
            "values": {"type": "dict", "default": {}, "no_log": True},
        },
        supports_check_mode=True,
    )
    with told(module):
        work(module)


if __name__ == "__main__":
    main()
