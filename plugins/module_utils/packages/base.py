"""What apt and dnf have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

Run = Callable[..., "tuple[int, str, str]"]
"""Runs a command, with ``environ_update`` as an option, and gives exit status, stdout and stderr."""

Remember = Callable[["list[str]"], None]
"""Is told which packages came anew with an installation."""


class PackageError(Exception):
    """The package manager failed, or would do what it must not; its own last words, or ours."""


class UnaskedError(PackageError):
    """A change would touch packages that nobody named."""


@dataclass(frozen=True)
class Change:
    """One transaction: packages to have, by name, at a version (empty: any), and packages to be without."""

    install: dict[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.install or self.remove)

    def names(self) -> list[str]:
        """Everything that it names."""
        return [*self.install, *self.remove]


def belongs(name: str, patterns: Sequence[str]) -> bool:
    """Whether a package's name fits one of some shell patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def last_words(out: str, err: str, lines: int = 15) -> str:
    """The end of what a command wrote, errors first, each with the indented lines that explain it."""
    errors = []
    within = False
    for line in (out + "\n" + err).splitlines():
        begins = line.startswith(("E:", "Error", "error:", "W:"))
        within = begins or (within and line.startswith(" ") and bool(line.strip()))
        if within:
            errors.append(line)
    return "\n".join((errors or (out + "\n" + err).strip().splitlines())[-lines:])


def upstream(version: str) -> str:
    """The version without the epoch and the packager's revision: 580.126.20 of ``3:580.126.20-1.el9``."""
    return version.split(":", 1)[-1].rsplit("-", 1)[0]
