"""Write JSON-like data as block-style YAML, quickly.

PyYAML's dumper takes minutes for the inventory of 10,000 nodes; this knows only mappings with text keys,
lists, text, numbers, booleans and nothing, and takes seconds. What it writes, PyYAML reads back unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Text that is the same text without quotes for YAML 1.1 and 1.2: begins with a letter, "/" or "_", and is no
# word that means something else. Everything else is quoted as JSON, which is valid YAML.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*(?:[ :=,][A-Za-z0-9_./@+-]+)*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def write(data: Mapping[str, Any]) -> str:
    """The data as YAML text."""
    return "".join(_mapping(data, "", {})) if data else "{}\n"


def _text(value: str, seen: dict[str, str]) -> str:
    known = seen.get(value)
    if known is None:
        plain = _PLAIN.fullmatch(value) is not None and value.lower() not in _WORDS
        known = seen[value] = value if plain else json.dumps(value, ensure_ascii=True)
    return known


def _scalar(value: Any, seen: dict[str, str]) -> str:
    if isinstance(value, str):
        return _text(value, seen)
    if value is None:
        return "null"
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return json.dumps(value)
    raise TypeError(f"{type(value).__name__} cannot be written as YAML")


def _mapping(data: Mapping[str, Any], indent: str, seen: dict[str, str]) -> Iterator[str]:
    for key, value in data.items():
        yield from _entry(f"{indent}{_text(key, seen)}:", value, indent, seen)


def _entry(head: str, value: Any, indent: str, seen: dict[str, str]) -> Iterator[str]:
    if isinstance(value, Mapping):
        if value:
            yield f"{head}\n"
            yield from _mapping(value, indent + "  ", seen)
        else:
            yield f"{head} {{}}\n"
    elif isinstance(value, Sequence) and not isinstance(value, str):
        if not value:
            yield f"{head} []\n"
        elif all(isinstance(item, int) for item in value):
            yield f"{head} [{', '.join(_scalar(item, seen) for item in value)}]\n"
        else:
            yield f"{head}\n"
            yield from _sequence(value, indent + "  ", seen)
    else:
        yield f"{head} {_scalar(value, seen)}\n"


def _sequence(data: Sequence[Any], indent: str, seen: dict[str, str]) -> Iterator[str]:
    for item in data:
        if isinstance(item, Mapping) and item:
            lines = _mapping(item, indent + "  ", seen)
            first = next(lines)
            yield f"{indent}- {first[len(indent) + 2 :]}"
            yield from lines
        elif isinstance(item, (Mapping, Sequence)) and not isinstance(item, str):
            yield f"{indent}- {json.dumps(item)}\n"
        else:
            yield f"{indent}- {_scalar(item, seen)}\n"
