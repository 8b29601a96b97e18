"""Findings, rules, and edits of a text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")

Place = tuple[int, int]
"""Line and column, both counted from 1."""


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters from ``start`` up to ``end`` by ``text``."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A mechanical remedy: what it does, in words, and its edits, which do not overlap."""

    what: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in a file, at a line and column counted from 1."""

    rule: str
    severity: Severity
    file: str
    line: int
    column: int
    message: str
    fix: Fix | None = None

    def __str__(self) -> str:
        fixable = " (--fix)" if self.fix else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity} {self.rule}: {self.message}{fixable}"


class Source:
    """A text with its lines, for places and edits."""

    def __init__(self, file: str, text: str) -> None:
        self.file, self.text = file, text
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def start(self, line: int) -> int:
        """Where a line begins; one past the end of the file is where the file ends."""
        return self._starts[min(line - 1, len(self._starts) - 1)]

    def line(self, number: int) -> str:
        """A line without its end."""
        return self.text[self.start(number) : self.start(number + 1)].rstrip("\r\n")

    def place(self, offset: int) -> Place:
        """Line and column of an offset."""
        line = bisect_right(self._starts, offset, hi=max(len(self._starts) - 1, 1))
        return line, offset - self._starts[line - 1] + 1

    def remove_lines(self, first: int, last: int) -> Edit:
        """Take out whole lines, both counted from 1 and both inclusive."""
        return Edit(self.start(first), self.start(last + 1), "")

    def insert_lines(self, before: int, lines: Sequence[str]) -> Edit:
        """Put whole lines above a line."""
        at = self.start(before)
        # The last line of a file may lack its end.
        lead = "\n" if at == len(self.text) and self.text and not self.text.endswith("\n") else ""
        return Edit(at, at, lead + "".join(f"{line}\n" for line in lines))


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rule is about, for documentation and ``--explain``; it is for these ``kinds`` of files alone."""

    id: str
    severity: Severity
    title: str
    why: str
    source: str
    kinds: tuple[str, ...]


RULES: dict[str, Rule] = {}


def rule(
    identifier: str, severity: Severity, title: str, *, why: str, source: str, kinds: tuple[str, ...]
) -> Rule:
    """Declare a rule; ids are unique."""
    if identifier in RULES:
        raise ValueError(f"rule {identifier} is declared twice")
    RULES[identifier] = declared = Rule(identifier, severity, title, why, source, kinds)
    return declared


@dataclass(slots=True)
class Report:
    """Collects the findings of one file."""

    source: Source
    findings: list[Finding] = field(default_factory=list)

    def add(
        self,
        about: Rule,
        place: Place,
        message: str,
        fix: Fix | None = None,
        severity: Severity | None = None,
    ) -> None:
        """Note a finding; ``severity`` where it depends on what was found."""
        self.findings.append(
            Finding(about.id, severity or about.severity, self.source.file, *place, message, fix)
        )


def in_order(findings: Sequence[Finding]) -> list[Finding]:
    """By place, the graver first; each once."""
    unique = {(each.line, each.column, each.rule, each.message): each for each in findings}
    return sorted(
        unique.values(), key=lambda each: (each.line, each.column, SEVERITIES.index(each.severity), each.rule)
    )
