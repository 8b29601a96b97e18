"""Write JSON-like data as block-style YAML, quickly.

PyYAML's dumper takes minutes for the inventory of 10,000 nodes; this knows only what JSON knows (dict with
text keys, list, str, int, float, bool, None) and takes seconds. What it writes, PyYAML reads back unchanged.
"""

from __future__ import annotations

import json
import re
from typing import Any

# Text that is the same text without quotes for YAML 1.1 and 1.2: begins with a letter, "/" or "_", and is no
# word that means something else. Everything else is quoted as JSON, which is valid YAML.
_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*(?:[ :=,][A-Za-z0-9_./@+-]+)*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})


def write(data: dict[str, Any]) -> str:
    """The data as YAML text; raises TypeError for what JSON does not know."""
    if not data:
        return "{}\n"
    out: list[str] = []
    _Writer(out).mapping(data, "")
    return "".join(out)


def _quoted(value: str) -> str:
    """A text as JSON writes it, except that YAML has an escape for what JSON needs two for."""
    if max(value, default="") <= "\uffff":
        return json.dumps(value)
    return '"' + "".join(f"\\U{ord(c):08x}" if c > "\uffff" else json.dumps(c)[1:-1] for c in value) + '"'


class _Writer:
    """Appends pieces of text to a list; the exact types decide, which is much quicker than abstract ones."""

    def __init__(self, out: list[str]) -> None:
        self.put = out.append
        self.known: dict[str, str] = {}

    def text(self, value: str) -> str:
        """A text, quoted where it must be."""
        known = self.known.get(value)
        if known is None:
            plain = _PLAIN.fullmatch(value) is not None and value.lower() not in _WORDS
            known = self.known[value] = value if plain else _quoted(value)
        return known

    def scalar(self, value: Any) -> str:
        """Anything but a dict or list."""
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind is bool:
            return "true" if value else "false"
        if value is None:
            return "null"
        if isinstance(value, str):
            return self.text(str(value))
        if kind is int or kind is float:
            return json.dumps(value)
        raise TypeError(f"{kind.__name__} cannot be written as YAML")

    def mapping(self, data: dict[str, Any], indent: str, lead: str | None = None) -> None:
        """The entries of a dict, one on each line; ``lead`` stands in for the first one's indentation."""
        put, known, deeper = self.put, self.known, indent + "  "
        before = indent if lead is None else lead
        for key, value in data.items():
            head = f"{before}{known.get(key) or self.text(key)}:"
            before = indent
            kind = type(value)
            if kind is str:
                put(f"{head} {known.get(value) or self.text(value)}\n")
            elif kind is dict:
                if value:
                    put(f"{head}\n")
                    self.mapping(value, deeper)
                else:
                    put(f"{head} {{}}\n")
            elif kind is list:
                self.sequence(head, value, deeper)
            else:
                put(f"{head} {self.scalar(value)}\n")

    def sequence(self, head: str, data: list[Any], indent: str) -> None:
        """A list: numbers on one line, everything else one entry on each."""
        put = self.put
        if not data:
            put(f"{head} []\n")
            return
        if type(data[0]) is int and all(type(item) is int for item in data):
            put(f"{head} {data}\n")
            return
        put(f"{head}\n")
        lead = f"{indent}- "
        for item in data:
            if type(item) is dict and item:
                self.mapping(item, indent + "  ", lead)
            elif type(item) in (dict, list):
                put(f"{lead}{self.flow(item)}\n")
            else:
                put(f"{lead}{self.scalar(item)}\n")

    def flow(self, value: Any) -> str:
        """A list or dict directly in a list, on one line."""
        if type(value) is list:
            return f"[{', '.join(map(self.flow, value))}]"
        if type(value) is dict:
            return "{" + ", ".join(f"{_quoted(key)}: {self.flow(item)}" for key, item in value.items()) + "}"
        return _quoted(value) if isinstance(value, str) else self.scalar(value)
