"""Read one YAML file into plain values and their positions, safely.

The file is untrusted: its size, its depth and the number of its values are limited, aliases are counted
as often as they are used, and only text, numbers, true, false and nothing come out, never an object.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

from nimctl.description.marks import Mark, Position
from nimctl.description.words import shorten
from nimctl.errors import Field, Problem

MAX_BYTES = 8 * 1024 * 1024
MAX_VALUES = 500_000
MAX_DEPTH = 32
MAX_TABS_REPORTED = 20

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
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
        raise SourceError([_problem(path, (1, 1), f"this file {what}; `nimctl init` writes a first one")])
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


def parse(text: str, path: Path) -> tuple[Any, Mark, list[Problem]]:
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
        self._anchors: dict[str, tuple[Any, Mark, int]] = {}
        self._plain: dict[str, Any] = {}

    def document(self) -> tuple[Any, Mark]:
        """Read the one document of the file."""
        self._next()
        event = self._next()
        if isinstance(event, yaml.StreamEndEvent):
            self._stop((1, 1), "found an empty file, expected a description that begins with `plugin:`")
        value, mark = self._value(self._next(), (), 0)
        self._next()
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            self._stop(
                _position(event), "found a second document (`---`), expected one description in a file"
            )
        return value, mark

    def _stop(self, where: Position, message: str, at: Field = ()) -> NoReturn:
        self.problems.append(_problem(self._path, where, message, at))
        raise _StopError

    def _add(self, event: Any, amount: int) -> None:
        self._count += amount
        if self._count > MAX_VALUES:
            self._stop(
                _position(event), f"found more than {MAX_VALUES:,} values (aliases counted), expected fewer"
            )

    def _value(self, event: Any, at: Field, depth: int) -> tuple[Any, Mark]:
        self._add(event, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        position = _position(event)
        before = self._count
        tag = event.tag
        if tag is not None and tag != "!":
            self._tagged(position, tag, at)
        value: Any
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
            mark = Mark(position)
        else:
            if depth >= MAX_DEPTH:
                self._stop(position, f"found values nested more than {MAX_DEPTH} deep, expected fewer levels")
            if isinstance(event, yaml.SequenceStartEvent):
                value, mark = self._sequence(position, at, depth)
            else:
                value, mark = self._mapping(position, at, depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, mark, self._count - before + 1)
        return value, mark

    def _tagged(self, position: Position, tag: str, at: Field) -> None:
        advice = "; name the vaulted variable with `vault:`" if "vault" in tag else ""
        message = f"found the tag {shorten(tag)}, expected plain text, numbers, lists and mappings{advice}"
        self.problems.append(_problem(self._path, position, message, at))

    def _alias(self, event: Any) -> tuple[Any, Mark]:
        known = self._anchors.get(event.anchor)
        if known is None:
            self._stop(_position(event), "found an alias (`*name`) without an anchor (`&name`) above")
        value, mark, size = known
        self._add(event, size)
        return value, mark

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if not event.implicit[0]:
            return text
        try:
            return self._plain[text]
        except KeyError:
            self._plain[text] = value = _plain_value(text)
            return value

    def _sequence(self, position: Position, at: Field, depth: int) -> tuple[list[Any], Mark]:
        values: list[Any] = []
        marks: list[Mark] = []
        event = self._next()
        while not isinstance(event, yaml.SequenceEndEvent):
            value, mark = self._value(event, (*at, len(values)), depth + 1)
            values.append(value)
            marks.append(mark)
            event = self._next()
        return values, Mark(position, children=marks)

    def _mapping(self, position: Position, at: Field, depth: int) -> tuple[dict[str, Any], Mark]:
        values: dict[str, Any] = {}
        keys: dict[str, Position] = {}
        children: dict[str, Mark] = {}
        merged: list[tuple[Any, Mark]] = []
        event = self._next()
        while not isinstance(event, yaml.MappingEndEvent):
            where = _position(event)
            key = self._key(event, at)
            value, mark = self._value(self._next(), (*at, key), depth + 1)
            if key == "<<":
                merged.append((value, mark))
            elif key in keys:
                first = f"it stands at line {keys[key][0]} already"
                message = f"found the key a second time, expected it once ({first})"
                self.problems.append(_problem(self._path, where, message, (*at, key)))
            else:
                values[key], keys[key], children[key] = value, where, mark
            event = self._next()
        for value, mark in merged:
            self._merge(value, mark, values, keys, children)
        return values, Mark(position, keys, children)

    def _key(self, event: Any, at: Field) -> str:
        self._add(event, 1)
        if not isinstance(event, yaml.ScalarEvent):
            self._stop(_position(event), "found a list, mapping or alias as a key, expected a name", at)
        return str(event.value)

    def _merge(
        self,
        value: Any,
        mark: Mark,
        values: dict[str, Any],
        keys: dict[str, Position],
        children: dict[str, Mark],
    ) -> None:
        """Apply `<<`: what the mapping itself says wins."""
        sources = [(value, mark)]
        if isinstance(value, list) and isinstance(mark.children, list):
            sources = list(zip(value, mark.children, strict=True))
        for source, source_mark in sources:
            if not isinstance(source, dict) or not isinstance(source_mark.children, dict):
                self.problems.append(
                    _problem(
                        self._path, mark.position, "found `<<` with no mapping, expected an alias of one"
                    )
                )
                return
            self._count += len(source)
            for key, entry in source.items():
                if key not in values:
                    values[key] = entry
                    keys[key] = source_mark.keys[key]
                    children[key] = source_mark.children[key]


def _position(event: Any) -> Position:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _plain_value(text: str) -> Any:
    """What unquoted text means. Octal, sexagesimal and underscored numbers stay text: nobody means them."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
