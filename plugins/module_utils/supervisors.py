"""The supervisors of the ranks of one cluster on a node: their files, and which of them run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.files import (
    File,
    Outcome,
    apply,
    read,
    remove,
    remove_if_empty,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import (
    UNIT_FOLDER,
    replica_of,
    unit_marks,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.supervision import (
    METRICS,
    key_path,
    metrics_path,
    script_path,
    settings_path,
    state,
    state_path,
    supervisor_unit,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import Run, show

PREFIX, SUFFIX = supervisor_unit("|").split("|")


class Supervisors:
    """What is there, what is wanted, and the difference."""

    def __init__(self, cluster: str, ranks: Iterable[Mapping[str, Any]], run: Run, check: bool) -> None:
        self.cluster, self.run, self.check = cluster, run, check
        self.wanted = {rank["name"]: rank for rank in ranks if rank.get("supervised")}
        self.before = self._units()

    def _units(self) -> list[str]:
        """Ranks of this cluster that have a supervisor's unit."""
        found = []
        for path in sorted(Path(UNIT_FOLDER).glob(supervisor_unit("*"))):
            if unit_marks(read(path) or "").get("cluster") == self.cluster:
                found.append(path.name[len(PREFIX) : -len(SUFFIX)])
        return found

    @property
    def unwanted(self) -> list[str]:
        """Ranks that have a supervisor and should have none."""
        return sorted(set(self.before) - set(self.wanted))

    @property
    def units(self) -> list[str]:
        """The units of the supervisors that are wanted."""
        return [supervisor_unit(rank) for rank in self.wanted]

    def remove(self, outcome: Outcome) -> None:
        """Take the files of supervisors away that are not wanted; they were stopped before."""
        for rank in self.unwanted:
            for path in (
                f"{UNIT_FOLDER}/{supervisor_unit(rank)}",
                settings_path(self.cluster, rank),
                state_path(self.cluster, rank),
                metrics_path(rank),
            ):
                remove(path, outcome, self.check)
        if not self.wanted:
            remove(script_path(self.cluster), outcome, self.check)
        if not self.check:
            remove_if_empty(
                [
                    str(Path(script_path(self.cluster)).parent),
                    str(Path(script_path(self.cluster)).parent.parent),
                    str(Path(state_path(self.cluster, "x")).parent),
                    METRICS,
                ]
            )

    def write(self, script: str, outcome: Outcome) -> list[str]:
        """Write what the wanted ones consist of; the units whose supervisor has to start anew for it."""
        stale = set()
        if self.wanted and self._apply(File(script_path(self.cluster), script, mode=0o755), outcome):
            stale |= set(self.units)
        for name, rank in self.wanted.items():
            files = (
                File(settings_path(self.cluster, name), rank["supervisor_settings"], mode=0o600),
                File(f"{UNIT_FOLDER}/{supervisor_unit(name)}", rank["supervisor_unit"]),
            )
            if [file for file in files if self._apply(file, outcome)]:
                stale.add(supervisor_unit(name))
        return sorted(stale)

    def _apply(self, file: File, outcome: Outcome) -> bool:
        before = len(outcome.changed)
        apply(file, outcome, self.check)
        return len(outcome.changed) > before

    def write_keys(self, keys: Mapping[str, str], outcome: Outcome) -> list[str]:
        """Write the keys that were given; the paths that are to stay."""
        paths = []
        for rank in self.wanted.values():
            if rank["nodes"] == 1:
                continue
            replica = replica_of(rank)
            path = key_path(self.cluster, replica)
            paths.append(path)
            if replica in keys:
                apply(File(path, f"{keys[replica]}\n", mode=0o600, secret=True), outcome, self.check)
            elif self.check and not Path(path).exists():
                # The key is made by the run itself, beside rank 0.
                outcome.add(path, "", "(a key)\n")
        return paths

    def active(self) -> dict[str, str]:
        """The states of the wanted supervisors' units, by rank."""
        states = show(self.run, self.units, ["ActiveState"])
        return {rank: states[supervisor_unit(rank)]["ActiveState"] for rank in self.wanted}

    def gave_up(self, rank: str) -> bool:
        """Whether a supervisor waits for a person, after too many starts that came to nothing."""
        return state(self.cluster, rank).get("state") == "failed"
