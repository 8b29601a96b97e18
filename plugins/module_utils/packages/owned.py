"""The packages, holds and repositories that one owner has on a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import File, Outcome, Record, reconcile
from ansible_collections.nimctl.multinode.plugins.module_utils.package_removal import removable
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.apt import Apt
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import Change, PackageError
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.dnf import Dnf
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.hold import (
    AptHold,
    DnfHold,
    as_if,
    give_way,
    members,
    path,
    preferences,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.repository import Repository
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.sources import Sources
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.switch import (
    check_offered,
    difference,
    simulated,
    strays,
    switch,
    taking_along,
)


@dataclass
class Done:
    """What was changed: packages, holds that were missing, and files."""

    names: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)


class Owned:
    """Everything about packages that one owner has on this node."""

    def __init__(self, manager: Apt | Dnf, owner: str, check: bool) -> None:
        self._manager = manager
        self._owner = owner
        self._check = check
        self._record = Record(owner, "packages")
        self._hold = AptHold(manager) if isinstance(manager, Apt) else DnfHold(manager)

    def have(
        self,
        wanted: Mapping[str, str],
        *,
        repositories: Sequence[Repository] = (),
        replaces: Sequence[str] = (),
        hold: Sequence[str] = (),
        family: Sequence[str] = (),
        download_only: bool = False,
    ) -> Done:
        """Have packages at their versions (empty: any), held. Raises NodeError, PackageError."""
        versions = {name: version for name, version in wanted.items() if version}
        sources = Sources(self._manager, self._owner, check=self._check)
        done = Done(outcome=sources.set_up(repositories))
        installed = self._manager.installed([*wanted, *replaces])
        change = difference(installed, list(wanted), versions, replaces)
        others = strays(self._manager, versions, family, change.names()) if family else []
        exact = bool(versions or replaces)
        try:
            if exact and (change or others) and not self._check:
                check_offered(self._manager, versions, lambda: self._refresh(sources, repositories))
            change = taking_along(self._manager, change, versions, others)
            if change and self._check:
                done.names = change.names()
            elif change and exact:
                done.names = self._change(change, versions, family, download_only)
            elif change:
                done.names = change.names()
                self._install(change)
        except (NodeError, PackageError):
            sources.undo()
            raise
        if not self._check:
            sources.keep(repositories)
        if not download_only:
            self._have_holds(
                done,
                {**versions, **{n: installed.get(n, "") for n in hold if n not in versions}},
                hold,
                family,
            )
        return done

    def _refresh(self, sources: Sources, repositories: Sequence[Repository]) -> None:
        if repositories:
            sources.refresh(repositories)
        else:
            self._manager.update()

    def _install(self, change: Change) -> None:
        """Install what is missing; remembered first, so that what an interruption leaves is ours as well."""
        names = list(change.install)
        try:
            self._remember(names, [])
            self._manager.install(names, lambda brought: self._remember(names, brought))
        except PackageError as error:
            raise PackageError(
                f"{self._manager.name} could not install {', '.join(names)}.\n{error}"
            ) from error

    def _change(
        self, change: Change, versions: Mapping[str, str], family: Sequence[str], download_only: bool
    ) -> list[str]:
        with ExitStack() as stack:
            options = ["--disableplugin=versionlock"]
            if isinstance(self._manager, Apt):
                names = members(self._manager, self._owner, family)
                options = stack.enter_context(as_if(self._owner, preferences(versions, names)))
            if download_only:
                simulated(self._manager, change, options, family)
                missing = self._manager.to_download(change, options)
                if missing:
                    self._manager.download(change, options)
                return missing
            there = self._manager.installed(change.install)
            new = [name for name in change.install if name not in there]
            try:
                switch(self._manager, change, options, lambda brought: self._remember(new, brought), family)
            except PackageError as error:
                raise PackageError(
                    f"{self._manager.name} could not change {', '.join(change.names())}.\n{error}"
                ) from error
            self._forget(change.remove)
            if isinstance(self._manager, Apt):
                give_way(self._owner, change.names(), self._check)
        return change.names()

    def _have_holds(
        self, done: Done, versions: Mapping[str, str], hold: Sequence[str], family: Sequence[str]
    ) -> None:
        held = {name: versions[name] for name in hold if versions.get(name)}
        if isinstance(self._manager, Apt):
            family = members(self._manager, self._owner, family)
            text = preferences(held, family) if held else ""
            files = [File(str(path(self._owner)), text)] if text else []
            outcome = reconcile(files, Record(self._owner, "holds"), self._check)
            done.outcome.changed += outcome.changed
            done.outcome.diff += outcome.diff
        before = self._record.content.get("held", [])
        done.held = self._hold.missing(held)
        if self._check:
            return
        lifted = [name for name in before if name not in held]
        if lifted:
            self._hold.unhold(lifted)
        if done.held:
            self._hold.hold({name: held[name] for name in done.held})
        self._save(held=sorted(held))
        if held:
            self._hold.verify(held, family)

    def remove(self, names: Sequence[str]) -> tuple[Outcome, list[str], dict[str, str]]:
        """Remove ours of these (none: all that are ours) with what came with them, if nobody else needs it.

        Returns the files that go, the packages that go, and the versions of ours from before.
        """
        ours = self._record.content.get("names", [])
        considered = sorted(set(ours) & set(names or ours))
        installed = self._manager.installed(considered)
        dependencies = self._record.content.get("dependencies", [])
        still_there = self._manager.installed(dependencies)
        everything = set(considered) == set(ours)
        there = sorted(installed)
        going = removable(self._manager, there, sorted(still_there)) if there or still_there else []
        outcome = Outcome()
        if not self._check:
            if everything and self._record.content.get("held"):
                self._hold.unhold(self._record.content["held"])
                self._save(held=[])
            if going:
                try:
                    self._manager.remove(going)
                except PackageError as error:
                    raise PackageError(
                        f"{self._manager.name} could not remove {', '.join(going)}.\n{error}"
                    ) from error
            left = sorted(set(ours) - set(considered))
            self._save(names=left, dependencies=sorted(set(dependencies) - set(going)) if left else [])
        if everything:
            for done in (
                reconcile([], Record(self._owner, "holds"), self._check),
                Sources(self._manager, self._owner).give_up(self._check),
            ):
                outcome.changed += done.changed
                outcome.diff += done.diff
        return outcome, going, {**installed, **still_there}

    def _remember(self, names: Iterable[str], brought: Iterable[str]) -> None:
        ours = {*self._record.content.get("names", []), *names}
        dependencies = {*self._record.content.get("dependencies", []), *brought}
        self._save(names=sorted(ours), dependencies=sorted(dependencies - ours))

    def _forget(self, names: Iterable[str]) -> None:
        gone = set(names)
        content = self._record.content
        self._save(**{k: [n for n in content.get(k, []) if n not in gone] for k in ("names", "dependencies")})

    def _save(self, **changes: list[str]) -> None:
        content = {**self._record.content, **changes}
        self._record.save({key: value for key, value in content.items() if value})
