"""Expand node sets and address lists in ClusterShell's syntax, in the order in which they were written.

ClusterShell sorts, drops duplicates and would expand billions of names; here order and duplicates matter
(addresses follow hosts one by one) and the size is known before anything is expanded. So ranges are
ClusterShell's, what surrounds them is ours. Groups (`@name`) are refused: they live in the controller's
own configuration, and a description must mean the same everywhere.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

from ClusterShell.RangeSet import RangeSet, RangeSetParseError

MAX_NAMES = 20_000
MAX_BRACKETS = 8

_OPERATORS = ",!&^"
_RANGE = re.compile(r"([0-9]{1,15})(?:-([0-9]{1,15})(?:/([0-9]{1,9}))?)?")


class NodeSetError(ValueError):
    """A node set cannot be understood; the message says why."""


def expand(text: str, limit: int = MAX_NAMES) -> list[str]:
    """Expand ``gpu[01-03],gpu07`` to its names, duplicates included.

    Operators work from left to right, as in ClusterShell: ``,`` adds, ``!`` removes, ``&`` keeps what is
    in both and ``^`` what is in one of them. Raises NodeSetError, also for more than ``limit`` names.
    """
    names: list[str] = []
    operator = ","
    left = 4 * MAX_NAMES
    for operand, following in _operands(text):
        if not operand:
            raise NodeSetError("a name is missing beside a comma or at an end")
        found = _pattern(operand, limit - len(names) if operator == "," else min(left, limit))
        left -= len(found)
        names = _combine(names, operator, found)
        operator = following
    return names


def _combine(names: list[str], operator: str, found: list[str]) -> list[str]:
    if operator == ",":
        names.extend(found)
        return names
    other = set(found)
    if operator == "&":
        return [name for name in names if name in other]
    kept = [name for name in names if name not in other]
    if operator == "!":
        return kept
    here = set(names)
    return kept + [name for name in found if name not in here]


def _operands(text: str) -> Iterator[tuple[str, str]]:
    """Every operand with the operator after it; what stands in brackets is not split."""
    start, inside = 0, False
    for index, character in enumerate(text):
        if character == "[":
            if inside:
                raise NodeSetError("a bracket inside a bracket")
            inside = True
        elif character == "]":
            if not inside:
                raise NodeSetError("a `]` without a `[`")
            inside = False
        elif character in _OPERATORS and not inside:
            yield text[start:index].strip(), character
            start = index + 1
    if inside:
        raise NodeSetError("a `[` without a `]`")
    yield text[start:].strip(), ""


def _pattern(text: str, limit: int) -> list[str]:
    """One operand, such as ``rack[1-4]node[01-16]``; the last bracket varies fastest."""
    if text.startswith("@"):
        raise NodeSetError("`@` names a group of the controller; write the nodes themselves")
    if "[" not in text:
        if limit < 1:
            raise _too_many()
        return [text]
    pieces = re.split(r"\[([^]]*)\]", text)
    if len(pieces) > 2 * MAX_BRACKETS + 1:
        raise NodeSetError(f"more than {MAX_BRACKETS} brackets in one name")
    total = 1
    for ranges in pieces[1::2]:
        total *= _size(ranges)
        if total > limit:
            raise _too_many()
    parts = [_numbers(piece) if index % 2 else [piece] for index, piece in enumerate(pieces)]
    return ["".join(combination) for combination in itertools.product(*parts)]


def _size(ranges: str) -> int:
    """How many numbers a bracket stands for, by arithmetic alone."""
    total = 0
    for piece in ranges.split(","):
        match = _RANGE.fullmatch(piece.strip())
        if match is None:
            raise NodeSetError(_not_a_range(piece.strip()))
        first, last, step = match.groups()
        if last is None:
            total += 1
            continue
        if int(last) < int(first):
            raise NodeSetError(f"the range [{piece.strip()}] ends before it begins")
        total += (int(last) - int(first)) // max(int(step or 1), 1) + 1
    return total


def _not_a_range(piece: str) -> str:
    if not piece:
        return "an empty range in brackets"
    if ":" in piece:
        return "a colon in brackets; write IPv6 addresses without brackets, ranges as fd00::[1-4]"
    shown = piece if len(piece) <= 30 else f"{piece[:29]}…"
    return f'"{shown}" is not a range of decimal numbers'


def _numbers(ranges: str) -> list[str]:
    numbers: list[str] = []
    for piece in ranges.split(","):
        try:
            numbers.extend(RangeSet(piece.strip()))
        except RangeSetParseError as error:
            raise NodeSetError(f"the range [{piece.strip()}] is not valid: {_reason(error)}") from error
    return numbers


def _reason(error: RangeSetParseError) -> str:
    reason = str(error).split(" : ", 1)[0].strip()
    if "padding" in reason:
        return "its two ends are padded to different lengths"
    return reason


def _too_many() -> NodeSetError:
    return NodeSetError(f"more than {MAX_NAMES:,} names")
