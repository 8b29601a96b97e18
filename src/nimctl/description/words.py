"""How problems are worded: what was found (never a secret), what was expected, and the likely name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

LONGEST = 60

# Shapes of keys that must not be repeated on a terminal, in a log or in a bug report.
SECRET_SHAPES = re.compile(
    r"nvapi-[\w-]{8,}|\bhf_[A-Za-z0-9]{16,}|\bgh[pousr]_[A-Za-z0-9]{20,}|\bglpat-[\w-]{16,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\bsk-[\w-]{20,}|\bxox[abprs]-[\w-]{10,}|-----BEGIN [A-Z ]*PRIVATE KEY|\beyJ[\w-]{10,}\.[\w-]{10,}\."
    r"|\b(?=[a-z0-9+/]*[A-Z])(?=[A-Z0-9+/]*[a-z])(?=[A-Za-z+/]*[0-9])[A-Za-z0-9+/]{80,}={0,2}(?![\w+/=])"
    r"|//[^/@\s:]*:[^/@\s]+@"
)
SECRET_NAMES = re.compile(
    r"(^|[_.-])(secrets?|tokens?|passwords?|passwd|credentials?|api_?keys?|apikey)($|[_.-])", re.I
)


def looks_secret(text: str) -> bool:
    """Whether a text has the shape of a key or a password."""
    return SECRET_SHAPES.search(text) is not None


def shorten(text: str) -> str:
    """One line of at most LONGEST characters; what looks like a secret is left out."""
    if looks_secret(text):
        return "a value that looks like a secret (not shown)"
    text = text[: LONGEST + 1]
    clean = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return clean if len(clean) <= LONGEST else f"{clean[: LONGEST - 1]}…"


def show(value: Any) -> str:
    """Name a value the way a message needs it: kind and content."""
    match value:
        case None:
            return "nothing"
        case bool():
            return f"the truth value {str(value).lower()}"
        case int() | float():
            return f"the number {shorten(str(value))}"
        case str() if looks_secret(value):
            return shorten(value)
        case str():
            return f'the text "{shorten(value)}"'
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "a mapping"
        case _:
            return f"a {type(value).__name__}"


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean NAME?`` where one of the known names is close, else nothing."""
    if len(name) > LONGEST:
        return ""
    choices = {choice.lower(): choice for choice in known}
    lowered = name.lower()
    matches = difflib.get_close_matches(lowered, choices, n=1, cutoff=0.6)
    if matches:
        return f"; did you mean {choices[matches[0]]}?"
    starts = [choice for key, choice in choices.items() if len(lowered) > 2 and key.startswith(lowered)]
    return f"; did you mean {starts[0]}?" if len(starts) == 1 else ""


def listing(names: Iterable[str], limit: int = 12) -> str:
    """``a, b or c``; a long list is cut short."""
    all_names = list(names)
    shown = all_names[:limit]
    if len(all_names) > limit:
        return f"{', '.join(shown)} … ({len(all_names)} in all)"
    if len(shown) > 1:
        return f"{', '.join(shown[:-1])} or {shown[-1]}"
    return "".join(shown)
