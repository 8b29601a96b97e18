"""The repositories that roles need set up. Several roles may share one: it stays until the last has gone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ansible_collections.nimctl.multinode.plugins.module_utils.files import (
    STATE,
    Outcome,
    Record,
    read,
    reconcile,
    remove,
    write_atomic,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.apt import Apt
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import PackageError
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.dnf import Dnf
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.repository import (
    Repository,
    explained,
    offers,
    only,
)


class Sources:
    """The repositories of one owner on this node."""

    def __init__(self, manager: Apt | Dnf, owner: str, state: Path = STATE, check: bool = False) -> None:
        self._manager = manager
        self._owner = owner
        self._state = state
        self._check = check
        self._before: dict[str, str | None] = {}
        self._new: list[str] = []

    def set_up(self, repositories: Sequence[Repository]) -> Outcome:
        """Have these on the node, each only after it was looked at. Raises NodeError, PackageError."""
        outcome = Outcome()
        # With a bundle nobody reaches a publisher, and the bundle has what it would give.
        for repository in repositories if not self._manager.bundled else ():
            if not repository.is_set_up() and not self._known_by_others(repository):
                self._write(repository, outcome)
        return outcome

    def keep(self, repositories: Sequence[Repository]) -> None:
        """Remember that the owner uses these."""
        for repository in repositories if not self._manager.bundled else ():
            users = self._users(repository.id)
            users.save({"owners": sorted({*users.content.get("owners", []), self._owner})})

    def _write(self, repository: Repository, outcome: Outcome) -> None:
        if self._check:
            for file in repository.files(f"the key {repository.fingerprint}\n"):
                outcome.add(file.path, "", file.content)
            return
        key, _ = offers(self._manager, repository, [])
        files = repository.files(key)
        self._before.update({file.path: read(file.path) for file in files})
        self._new.append(repository.id)
        done = reconcile(files, Record(repository.id, "repositories", self._state), check=False)
        outcome.changed += done.changed
        outcome.diff += done.diff
        self.refresh([repository])

    def refresh(self, repositories: Sequence[Repository]) -> None:
        """Fetch what these offer, and nothing of other repositories. Raises PackageError."""
        if self._manager.bundled:
            self._manager.update()
            return
        for repository in repositories:
            try:
                if isinstance(self._manager, Apt):
                    source = repository.source_path if Path(repository.source_path).exists() else None
                    # Without the last option apt would throw away the lists of all other repositories.
                    self._manager.update([*only(source), "-o", "APT::Get::List-Cleanup=0"] if source else [])
                else:
                    self._manager.update(["--disablerepo=*", f"--enablerepo=nimctl-{repository.id}"])
            except PackageError as error:
                raise PackageError(explained(repository, str(error))) from error

    def undo(self) -> None:
        """Give back the files as they were before ``set_up``: what was to come from there did not."""
        for path, text in self._before.items():
            if text is None:
                remove(path, Outcome(), check=False)
            else:
                write_atomic(path, text, 0o644)
        for name in self._new:
            if not self._users(name).content:
                Record(name, "repositories", self._state).save({})

    def give_up(self, check: bool) -> Outcome:
        """Take out the repositories that no other owner needs."""
        outcome = Outcome()
        for path in sorted((self._state / "repository_users").glob("*.json")):
            users = Record(path.stem, "repository_users", self._state)
            owners = users.content.get("owners", [])
            if self._owner not in owners:
                continue
            left = [owner for owner in owners if owner != self._owner]
            if not left:
                done = reconcile([], Record(path.stem, "repositories", self._state), check)
                outcome.changed += done.changed
                outcome.diff += done.diff
            if not check:
                users.save({"owners": left} if left else {})
        return outcome

    def _users(self, name: str) -> Record:
        return Record(name, "repository_users", self._state)

    def _known_by_others(self, repository: Repository) -> bool:
        """Whether somebody else's list of sources has it: apt refuses two entries with two key files."""
        if not isinstance(self._manager, Apt):
            return False
        listing = self._manager.run(
            "apt-get", "indextargets", "--format", "$(REPO_URI) $(SOURCESENTRY)", "Created-By: Packages"
        )
        for line in listing.splitlines():
            uri, _, entry = line.partition(" ")
            if uri.rstrip("/") == repository.url.rstrip("/") and not entry.startswith(repository.source_path):
                return True
        return False
