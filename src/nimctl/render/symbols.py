"""Marks in texts for what is known no sooner than a rank starts; each target writes them in its own way.

A mark is the name of a template field between two characters that no description holds, so that a ``$(X)`` of
the user stays what it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}([a-z_]+){_CLOSE}")


def mark(name: str) -> str:
    """The mark of a field."""
    return f"{_OPEN}{name}{_CLOSE}"


def marks(text: str) -> frozenset[str]:
    """The fields that a text marks."""
    return frozenset(_MARK.findall(text))


def only(text: str) -> str | None:
    """The field, where a text is one mark and nothing else."""
    match = _MARK.fullmatch(text)
    return match[1] if match else None


def spell(text: str, words: Mapping[str, str], literal: Callable[[str], str] = str) -> str:
    """Write a text: marks as ``words`` has them, what is between them as ``literal`` escapes it."""
    # Odd pieces are the names of fields: `split` keeps what the group matched.
    pieces = _MARK.split(text)
    return "".join(
        words[piece] if index % 2 else literal(piece) if piece else "" for index, piece in enumerate(pieces)
    )
