"""Errors that reach a person, and the exit code each one ends with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

DONE = 0
FAILED = 1
REJECTED = 2
PENDING = 3

Field = tuple[str | int, ...]
"""Where a value stands in a description: ``("deployments", 0, "gpus")``."""


class NimctlError(Exception):
    """Something went wrong that a person can act on; the message says what, where and what to do."""

    exit_code = FAILED


class RejectedError(NimctlError):
    """The input is wrong and no host was contacted."""

    exit_code = REJECTED


class RefusedError(RejectedError):
    """A layer cannot be what is wanted on a host; nothing was changed. Says why and what to do."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a description.

    ``line`` and ``column`` count from 1; both are 0 until the problem has been located in its file.
    """

    field: Field
    message: str
    file: Path | None = None
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: " if self.file else ""
        return f"{where}{field_name(self.field)}{self.message}"


class DescriptionError(RejectedError):
    """A description was rejected; carries every problem found, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def field_name(field: Field) -> str:
    """Write a field the way a reader of the file would: ``deployments[0].gpus: ``."""
    text = ""
    for part in field:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return f"{text}: " if text else ""
