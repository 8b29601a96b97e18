"""Words of a POSIX shell, with marks as variables."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from nimctl.render.symbols import spell


def word(text: str, variables: Mapping[str, str] | None = None) -> str:
    """One word: literal text quoted, marks as ``"$NAME"``."""
    names = {field: f'"${{{name}}}"' for field, name in (variables or {}).items()}
    return spell(text, names, shlex.quote) or "''"


def words(texts: Sequence[str], variables: Mapping[str, str] | None = None) -> list[str]:
    """Each word by itself."""
    return [word(text, variables) for text in texts]


def lines(texts: Sequence[str], indent: str = "  ") -> str:
    """One command over several lines, a word or option on each."""
    return f" \\\n{indent}".join(texts)
