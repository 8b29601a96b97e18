"""Read one YAML file into plain values and their positions, safely.

The file is untrusted: its size, its depth and the number of its values are limited, aliases are counted
as often as they are used, and only text, numbers, true, false and nothing come out, never an object.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

from nimctl.description.marks import Mark, Position, place
from nimctl.description.words import shorten
from nimctl.errors import Field, Problem

INIT = "`nimctl init` writes a first one"
MAX_BYTES = 8 * 1024 * 1024
MAX_VALUES = 400_000
MAX_TEXT = 512 * 1024
MAX_PROBLEMS = 500
MAX_DEPTH = 32
MAX_TABS_REPORTED = 20

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,99})")
_FLOAT = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{0,18}([eE][-+]?[0-9]{1,2})?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}
# The C parser is ten times as fast; both understand the same files.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class SourceError(Exception):
    """The file cannot be read as one YAML document; carries the problems."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__(f"{len(problems)} problems")


def read_text(path: Path) -> str:
    """Read a description as text; SourceError where it is missing, too big or not UTF-8."""
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        other = path.with_suffix(".yaml")
        todo = f"{other} does: rename it to {path.name}" if other.is_file() else INIT
        raise SourceError([_problem(path, (1, 1), f"{path} {what}; {todo}")])
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SourceError([_problem(path, (1, 1), f"cannot read this file: {error.strerror}")]) from error
    if len(content) > MAX_BYTES:
        limit = f"{MAX_BYTES // 1024 // 1024} MiB"
        raise SourceError([_problem(path, (1, 1), f"found a file of more than {limit}, expected less")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", "replace")
        where = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        found = f"found the byte 0x{content[error.start]:02x}, expected UTF-8 text"
        raise SourceError([_problem(path, where, found)]) from error


def parse(text: str, path: Path) -> tuple[Any, Mark | Position, list[Problem]]:
    """Parse a YAML document.

    Returns its value, the marks of all its values, and the problems that do not stop reading: duplicate
    keys and tabs. Raises SourceError where nothing sensible can be read.
    """
    problems = _tabs(text, path)
    composer = _Composer(text, path, problems)
    try:
        value, mark = composer.document()
    except _StopError:
        raise SourceError(composer.problems) from None
    except yaml.YAMLError as error:
        found = _syntax_problem(error, text, path)
        tabs = {problem.line for problem in problems}
        raise SourceError(problems if found.line in tabs else [*problems, found]) from error
    return value, mark, composer.problems


def _problem(path: Path, where: Position, message: str, at: Field = ()) -> Problem:
    return Problem(at, message, path, *where)


def _tabs(text: str, path: Path) -> list[Problem]:
    """Every line with a tab outside a comment: what a tab is worth depends on the editor."""
    problems: list[Problem] = []
    if "\t" not in text:
        return problems
    for number, line in enumerate(text.splitlines(), 1):
        before, tab, _ = line.partition("\t")
        if tab and not before.lstrip().startswith("#") and " #" not in before:
            message = "found a tab, expected spaces (YAML does not indent with tabs)"
            problems.append(_problem(path, (number, len(before) + 1), message))
            if len(problems) == MAX_TABS_REPORTED:
                break
    return problems


def _syntax_problem(error: yaml.YAMLError, text: str, path: Path) -> Problem:
    if isinstance(error, yaml.reader.ReaderError):
        position = error.position if isinstance(error.position, int) else 0
        before = text[:position]
        where = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        return _problem(path, where, "not YAML: found a control character, expected text")
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    # A quoted part of the file may be a secret: keep only the parser's own words.
    reason = re.sub(r"'[^']{2,}'", "it", str(getattr(error, "problem", None) or "cannot be parsed"))
    context = str(getattr(error, "context", None) or "")
    return _problem(path, where, f"not YAML: {context + ', ' if context else ''}{reason}{_advice(reason)}")


def _advice(reason: str) -> str:
    if "mapping values are not allowed" in reason:
        return " (a `:` too many, or indentation that does not match the lines above)"
    if "could not find expected ':'" in reason:
        return " (a key needs `: ` after it, and text that holds `: ` or ` #` needs quotes)"
    if "cannot start any token" in reason:
        return " (text that begins with this character needs quotes)"
    if "did not find expected" in reason:
        return " (look for a bracket or quote that is not closed, or for indentation that does not match)"
    return ""


class _StopError(Exception):
    """Reading ends here; the reason is in the problems already."""


class _Composer:
    """Builds values and marks from the parser's events."""

    def __init__(self, text: str, path: Path, problems: list[Problem]) -> None:
        self.problems = list(problems)
        self._path = path
        self._next = _Loader(text).get_event
        self._count = 0
        # The keys and indices that lead to the value that is being read.
        self._at: list[str | int] = []
        self._anchors: dict[str, tuple[Any, Mark | Position, int]] = {}
        self._plain: dict[str, Any] = {}

    def document(self) -> tuple[Any, Mark | Position]:
        """Read the one document of the file."""
        self._next()
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            self._stop((1, 1), "found an empty file, expected a description that begins with `plugin:`")
        value, mark = self._value(self._next())
        self._next()
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            self._stop(_position(event), "found a second document (`---`), expected one in a file")
        return value, mark

    def _add(self, where: Position, message: str) -> None:
        self.problems.append(_problem(self._path, where, message, tuple(self._at)))
        if len(self.problems) > MAX_PROBLEMS:
            raise _StopError

    def _stop(self, where: Position, message: str) -> NoReturn:
        self.problems.append(_problem(self._path, where, message))
        raise _StopError

    def _count_values(self, where: Position, amount: int) -> None:
        self._count += amount
        if self._count > MAX_VALUES:
            self._stop(where, f"found more than {MAX_VALUES:,} values (aliases counted), expected fewer")

    def _value(self, event: Any) -> tuple[Any, Mark | Position]:
        start = event.start_mark
        where = (start.line + 1, start.column + 1)
        self._count_values(where, 1)
        kind = type(event)
        if kind is yaml.AliasEvent:
            return self._alias(event, where)
        if event.tag is not None and event.tag != "!":
            self._tagged(where, event.tag)
        before = self._count
        value: Any
        mark: Mark | Position = where
        if kind is yaml.ScalarEvent:
            value = self._scalar(event, where)
        else:
            if len(self._at) >= MAX_DEPTH:
                self._stop(where, f"found values nested more than {MAX_DEPTH} deep, expected fewer levels")
            value, mark = self._sequence(where) if kind is yaml.SequenceStartEvent else self._mapping(where)
        if event.anchor:
            self._anchors[event.anchor] = (value, mark, self._count - before + 1)
        return value, mark

    def _tagged(self, where: Position, tag: str) -> None:
        advice = "; name the vaulted variable with `vault:`" if "vault" in tag else ""
        shown = shorten(tag.removeprefix("tag:yaml.org,2002:"))
        self._add(where, f"found the tag {shown}, expected text, numbers, lists and mappings{advice}")

    def _alias(self, event: Any, where: Position) -> tuple[Any, Mark | Position]:
        known = self._anchors.get(event.anchor)
        if known is None:
            self._stop(where, "found an alias (`*name`) without an anchor (`&name`) above")
        value, mark, size = known
        self._count_values(where, size)
        return value, mark

    def _scalar(self, event: Any, where: Position) -> Any:
        text: str = event.value
        if len(text) > MAX_TEXT:
            self._stop(where, f"found a text of more than {MAX_TEXT // 1024} KiB, expected less")
        if not event.implicit[0]:
            return text
        try:
            return self._plain[text]
        except KeyError:
            self._plain[text] = value = plain_value(text)
            return value

    def _sequence(self, where: Position) -> tuple[list[Any], Mark]:
        values: list[Any] = []
        marks: list[Mark | Position] = []
        self._at.append(0)
        event = self._next()
        while type(event) is not yaml.SequenceEndEvent:
            self._at[-1] = len(values)
            value, mark = self._value(event)
            values.append(value)
            marks.append(mark)
            event = self._next()
        self._at.pop()
        return values, Mark(where, marks, {})

    def _mapping(self, where: Position) -> tuple[dict[str, Any], Mark]:
        values: dict[str, Any] = {}
        keys: dict[str, Position] = {}
        children: dict[str, Mark | Position] = {}
        merged: list[tuple[Any, Mark | Position]] = []
        self._at.append("")
        event = self._next()
        while type(event) is not yaml.MappingEndEvent:
            key_at = _position(event)
            self._count_values(key_at, 1)
            if type(event) is not yaml.ScalarEvent:
                self._stop(key_at, "found a list, mapping or alias as a key, expected a name")
            key = self._at[-1] = event.value
            value, mark = self._value(self._next())
            if key == "<<":
                merged.append((value, mark))
            elif key in keys:
                self._at[-1] = key
                first = f"it stands at line {keys[key][0]} already"
                self._add(key_at, f"found the key a second time, expected it once ({first})")
            else:
                values[key], keys[key], children[key] = value, key_at, mark
            event = self._next()
        self._at.pop()
        result = Mark(where, children, keys)
        for value, mark in merged:
            self._merge(value, mark, values, result)
        return values, result

    def _merge(self, value: Any, mark: Mark | Position, values: dict[str, Any], target: Mark) -> None:
        """Apply `<<`: what the mapping itself says wins."""
        sources: list[tuple[Any, Mark | Position]] = [(value, mark)]
        if isinstance(value, list) and isinstance(mark, Mark):
            sources = list(zip(value, mark.children, strict=True))  # type: ignore[arg-type]
        for source, source_mark in sources:
            if not isinstance(source, dict) or not isinstance(source_mark, Mark):
                self._add(place(mark), "found `<<` with no mapping, expected an alias of one")
                return
            self._count_values(place(mark), len(source))
            for key, entry in source.items():
                if key not in values:
                    values[key] = entry
                    target.keys[key] = source_mark.keys[key]
                    target.children[key] = source_mark.children[key]


def _position(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1


def plain_value(text: str) -> Any:
    """What unquoted text means. Octal, sexagesimal and underscored numbers stay text: nobody means them."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
