"""Units of systemd as they have to be: their text, whether they start with the node, whether they run now.

What runs is compared with what is wanted, so that a run that was interrupted is finished by the next one. The
record of an owner keeps its files, the former state of each unit (``former``), and for units whose text
changed and that were not restarted since the invocation that still has the old text (``stale``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import File, Outcome, Record, reconcile
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import (
    Run,
    dependents,
    order,
    running_ranks,
    show,
)

FOLDER = Path("/etc/systemd/system")
UP = ("active", "activating", "reloading")
STARTS_ITSELF = ("enabled", "static", "indirect", "alias", "generated")
"""Values of UnitFileState with which there is nothing to enable (systemctl(1), is-enabled)."""
PROPERTIES = (
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "InvocationID",
    "ConditionResult",
    "ConditionTimestampMonotonic",
    "InactiveExitTimestampMonotonic",
)

State = dict[str, str]


@dataclass(frozen=True)
class Unit:
    """A unit as it should be; see the module ``units`` for what the fields mean."""

    name: str
    enabled: bool | None = None
    state: str = "kept"
    definition: str = ""
    drop_in: str = ""
    restart_on: tuple[str, ...] = ()
    disturbs_ranks: bool = False

    def files(self, owner: str, folder: Path) -> dict[str, str]:
        """Paths and texts of the files that make the unit what it should be."""
        texts = {
            str(folder / self.name): self.definition,
            str(folder / f"{self.name}.d" / f"50-nimctl-{owner}.conf"): self.drop_in,
        }
        return {path: text for path, text in texts.items() if text}


@dataclass
class Result:
    """What was done or has to wait; ``skipped`` names units that a condition of their own keeps from
    starting."""

    files: Outcome = field(default_factory=Outcome)
    did: list[str] = field(default_factory=list)
    pending: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether anything on the node is different, or would be."""
        return bool(self.files.changed or self.did)


class Units:
    """The units of one owner on this node."""

    def __init__(
        self, run: Run, record: Record, owner: str, check: bool, told: bool = False, folder: Path = FOLDER
    ) -> None:
        self.run, self.record, self.owner, self.check, self.told = run, record, owner, check, told
        self.folder = folder
        self.result = Result()
        self.states: dict[str, State] = {}

    def write(self, units: Sequence[Unit]) -> list[str]:
        """Write the files alone; the units whose text changed."""
        texts = {path: text for unit in units for path, text in unit.files(self.owner, self.folder).items()}
        wanted = [File(path, text) for path, text in sorted(texts.items())]
        changed = reconcile(wanted, self.record, check=True).changed
        names = sorted({self._unit_of(path) for path in changed})
        if not self.check:
            stale = {name: self.states[name]["InvocationID"] for name in names if self._is_up(name)}
            self._remember("stale", {**self._recorded("stale"), **stale})
        self.result.files = reconcile(wanted, self.record, self.check)
        return names

    def apply(self, units: Sequence[Unit]) -> Result:
        """Make these the units that the owner looks after; what it no longer does gets its former state
        back."""
        wanted = {unit.name: unit for unit in units}
        going = sorted(set(self._recorded("former")) - set(wanted))
        self._look([*wanted, *going])
        for name in going:
            self._give_back(name)
        self._note_former(units)
        changed = self.write(units)
        reload = [name for name, state in self.states.items() if state["NeedDaemonReload"] == "yes"]
        if changed or reload:
            self._order("daemon-reload")
            self._look([*wanted, *going])
        for unit in units:
            self._settle(unit, unit.name in changed)
        for name in going:
            gone = self._former_unit(name)
            outdated = name in changed or self._is_stale(gone)
            if self._is_up(name) and outdated and self._may_stop(gone):
                self._order("restart", name)
        self._forget(set(wanted))
        return self.result

    def _settle(self, unit: Unit, changed: bool) -> None:
        state = self.states[unit.name]
        runs = unit.state == "started"
        if state["LoadState"] == "masked" and (unit.enabled or runs):
            raise NodeError(
                f"{unit.name} is masked: somebody has decided that it must not run here. If it may: "
                f"systemctl unmask {unit.name}"
            )
        if state["LoadState"] == "not-found" and not unit.definition:
            if not (unit.enabled or runs):
                return
            if not self.check:
                raise NodeError(
                    f"There is no unit {unit.name} on this node. Is the package that brings it installed? "
                    f"systemctl list-unit-files shows what there is."
                )
        if unit.enabled is not None:
            starts = state["UnitFileState"] in STARTS_ITSELF
            if unit.enabled and not starts:
                self._order("enable", unit.name)
            elif not unit.enabled and state["UnitFileState"] in ("enabled", "enabled-runtime"):
                self._order("disable", unit.name)
        if self._is_up(unit.name):
            if unit.state == "stopped":
                if self._may_stop(unit):
                    self._order("stop", unit.name)
            elif (changed or self._is_stale(unit)) and self._may_stop(unit):
                self._order("restart", unit.name)
        elif runs:
            self._start(unit.name)

    def _start(self, name: str) -> None:
        """Start a unit, and see whether it did: one whose condition is not met stays as it is without an
        error."""
        untried = self.states[name]["ConditionTimestampMonotonic"] in ("", "0")
        if self.check:
            if untried or self.states[name]["ConditionResult"] != "no":
                self._order("start", name)
            return
        order(self.run, "start", name)
        after = show(self.run, [name], PROPERTIES)[name]
        if after["ActiveState"] in UP or after["ConditionResult"] != "no":
            self.result.did.append(f"start {name}")
        else:
            self.result.skipped.append(name)

    def _give_back(self, name: str) -> None:
        former, state = self._recorded("former")[name], self.states[name]
        if state["LoadState"] in ("not-found", "masked"):
            return
        if former.get("active") is False and self._is_up(name) and self._may_stop(self._former_unit(name)):
            self._order("stop", name)
            self.states[name] = {**state, "ActiveState": "inactive"}
        if former.get("active") and not self._is_up(name):
            self._order("start", name)
        enabled = state["UnitFileState"] in ("enabled", "enabled-runtime")
        if former.get("enabled") is False and enabled:
            self._order("disable", name)
        if former.get("enabled") and not enabled and state["UnitFileState"] not in STARTS_ITSELF:
            self._order("enable", name)

    def _note_former(self, units: Sequence[Unit]) -> None:
        """Remember how units were before we looked after them, as far as we change that."""
        former: dict[str, dict[str, bool]] = {
            name: dict(each) for name, each in self._recorded("former").items()
        }
        for unit in units:
            state, known = self.states[unit.name], former.setdefault(unit.name, {})
            if unit.enabled is not None:
                known.setdefault("enabled", state["UnitFileState"] in ("enabled", "enabled-runtime"))
            if unit.state != "kept":
                known.setdefault("active", self._is_up(unit.name))
            if unit.disturbs_ranks:
                known["disturbs_ranks"] = True
        if not self.check:
            self._remember("former", former)

    def _former_unit(self, name: str) -> Unit:
        """A unit that the owner does not look after any more, as far as it matters for its end."""
        return Unit(name, disturbs_ranks=self._recorded("former")[name].get("disturbs_ranks", False))

    def _forget(self, wanted: set[str]) -> None:
        """Forget what was given back, and what runs with its present text by now; not what has to wait."""
        if self.check:
            return
        waiting = {name for name in self._recorded("former") if self._waits(name)}
        keep = wanted | waiting
        self._remember("former", {n: v for n, v in self._recorded("former").items() if n in keep})
        stale = self._recorded("stale")
        present = show(self.run, sorted(stale), ["InvocationID"])
        self._remember("stale", {n: v for n, v in stale.items() if present[n]["InvocationID"] == v})

    def _waits(self, name: str) -> bool:
        return any(sentence.startswith(f"{name} ") for sentence in self.result.pending)

    def _may_stop(self, unit: Unit) -> bool:
        """Whether no running rank would be ended by that; what waits is noted otherwise."""
        if self.told:
            return True
        ranks = running_ranks(self.run)
        if ranks and not unit.disturbs_ranks:
            ranks = sorted(set(ranks) & dependents(self.run, unit.name))
        if not ranks:
            return True
        self.result.pending.append(
            f"{unit.name} has to be restarted or stopped to be as it was asked for. It was not, because that "
            f"ends ranks that run here ({', '.join(ranks)}). Drain the node, then run this again."
        )
        return False

    def _is_up(self, name: str) -> bool:
        return self.states.get(name, {}).get("ActiveState") in UP

    def _is_stale(self, unit: Unit) -> bool:
        """Whether it was started before the files that it reads were last changed."""
        state = self.states[unit.name]
        if self._recorded("stale").get(unit.name) == state["InvocationID"]:
            return True
        monotonic = state["InactiveExitTimestampMonotonic"]
        if not monotonic.isdigit() or monotonic == "0":
            return False
        began = time.time() - time.monotonic() + int(monotonic) / 1e6
        # Not the time of modification: packages bring files with the time at which they were built.
        return any(Path(path).stat().st_ctime > began for path in unit.restart_on if Path(path).exists())

    def _look(self, names: Sequence[str]) -> None:
        self.states = show(self.run, names, PROPERTIES)

    def _order(self, verb: str, *units: str) -> None:
        self.result.did.append(" ".join([verb, *units]))
        if not self.check:
            order(self.run, verb, *units)

    def _unit_of(self, path: str) -> str:
        return Path(path).relative_to(self.folder).parts[0].removesuffix(".d")

    def _recorded(self, key: str) -> dict[str, Any]:
        return dict(self.record.content.get(key, {}))

    def _remember(self, key: str, value: dict[str, Any]) -> None:
        rest = {name: kept for name, kept in self.record.content.items() if name != key}
        self.record.save({**rest, key: value} if value else rest)
