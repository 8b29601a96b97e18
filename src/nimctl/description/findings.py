"""Collects the problems of one description, each with its place in the file."""

from __future__ import annotations

from pathlib import Path

from nimctl.description.marks import Positions
from nimctl.description.words import looks_secret
from nimctl.errors import Field, Problem

MAX_PROBLEMS = 1000
MAX_SUGGESTIONS = 100


class Findings:
    """Problems in the order of the file; of several about one field, the first that was added stays."""

    def __init__(self, path: Path, positions: Positions, earlier: list[Problem]) -> None:
        self._path = path
        self._positions = positions
        self._problems: list[Problem] = list(earlier)
        self._fields = {problem.field for problem in earlier if problem.field}
        self._left_out = 0

    def __len__(self) -> int:
        return len(self._problems)

    @property
    def full(self) -> bool:
        """Whether no further problem will be shown."""
        return len(self._problems) >= MAX_PROBLEMS

    def leave_out(self, count: int) -> None:
        """Count problems that are not worth wording any more."""
        self._left_out += count

    @property
    def suggesting(self) -> bool:
        """Whether it is still worth looking for near names, which takes a millisecond each."""
        return len(self._problems) < MAX_SUGGESTIONS

    def has(self, field: Field) -> bool:
        """Whether a problem about this field is known already."""
        return field in self._fields

    def add(self, field: Field, message: str, *, key: bool = False, again: bool = False) -> None:
        """Add a problem, at the value of the field or, with ``key``, at its key.

        A second problem of one field is mostly a consequence of the first and left out, but with ``again``.
        """
        if field in self._fields and not again:
            return
        if self.full:
            self._left_out += 1
            return
        self._fields.add(field)
        line, column = self._positions.key(field) if key else self._positions.nearest(field)
        shown = tuple(
            "(not shown)" if isinstance(part, str) and looks_secret(part) else part for part in field
        )
        self._problems.append(Problem(shown, message, self._path, line, column))

    def line(self, field: Field) -> int:
        """The line of a field, for messages that point from one place to another."""
        return self._positions.nearest(field)[0]

    def problems(self) -> list[Problem]:
        """Every problem, in the order of the file."""
        ordered = sorted(self._problems, key=lambda problem: (problem.line, problem.column))
        if self._left_out and ordered:
            last = ordered[-1]
            rest = f"{self._left_out:,} more problems are not shown"
            ordered.append(Problem((), rest, self._path, last.line, last.column))
        return ordered
