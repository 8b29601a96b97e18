"""Keep secrets out of what is written down: values are replaced in every form they are likely to take."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MASK = "********"
SHORTEST = 6
"""Shorter values are left alone: masking `1` everywhere would destroy a record and hide nothing."""


def forms(value: str) -> frozenset[str]:
    """Every way in which a secret may stand in a text: raw, quoted, and base64 at any offset."""
    raw = value.strip()
    if len(raw) < SHORTEST:
        return frozenset()
    found = {raw, urllib.parse.quote(raw, safe=""), json.dumps(raw)[1:-1]}
    for altchars in (b"+/", b"-_"):
        for offset in range(3):
            # Three bytes make four characters: the value looks different at each of three offsets. The
            # characters at both ends also depend on what stands before and after it, so they are cut off.
            data = b"\0" * offset + raw.encode()
            encoded = base64.b64encode(data, altchars=altchars).decode().rstrip("=")
            start = (0, 2, 3)[offset]
            stop = len(encoded) - (1 if len(data) % 3 else 0)
            found.add(encoded[start:stop])
    return frozenset(form for form in found if len(form) >= SHORTEST)


class Redactor:
    """Replaces known secret values in texts and in nested data."""

    def __init__(self, values: Iterable[str]) -> None:
        everything = {form for value in values for form in forms(value)}
        self._forms: Sequence[str] = sorted(everything, key=len, reverse=True)

    def text(self, value: str) -> str:
        """A text without the secrets."""
        for form in self._forms:
            if form in value:
                value = value.replace(form, MASK)
        return value

    def data(self, value: Any) -> Any:
        """Nested data without the secrets, keys included."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.data(key): self.data(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.data(item) for item in value]
        return value
