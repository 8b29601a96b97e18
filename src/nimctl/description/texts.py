"""What no text of a description may hold, wherever it stands: templates, invisible characters, secrets."""

from __future__ import annotations

import re
from typing import Any

from nimctl.description.findings import Findings
from nimctl.description.words import looks_secret
from nimctl.errors import Field

_TEMPLATE = re.compile(r"\{\{|\{%|\{#")


def check(raw: Any, findings: Findings) -> None:
    """Look at every key and every text of a parsed description."""
    if not isinstance(raw, dict):
        return
    verdicts: dict[str, str] = {}
    pending: list[tuple[Field, Any]] = [((), raw)]
    while pending:
        where, value = pending.pop()
        if isinstance(value, str):
            _text(where, value, verdicts, findings, key=False)
        elif isinstance(value, dict):
            for key, entry in value.items():
                _text((*where, key), key, verdicts, findings, key=True)
                pending.append(((*where, key), entry))
        elif isinstance(value, list):
            pending.extend(((*where, index), entry) for index, entry in enumerate(value))


def _text(where: Field, text: str, verdicts: dict[str, str], findings: Findings, *, key: bool) -> None:
    verdict = verdicts.get(text)
    if verdict is None:
        verdict = verdicts[text] = _verdict(text)
    if verdict:
        if key and looks_secret(text):
            where = where[:-1]
        findings.add(where, verdict, key=key)


def _verdict(text: str) -> str:
    """What is wrong with a text; empty where nothing is."""
    if looks_secret(text):
        return (
            "found a value that looks like a secret (not shown), expected none in this file; "
            "name its source under secrets: {env: VARIABLE}, {file: PATH} or {vault: VARIABLE}"
        )
    template = _TEMPLATE.search(text)
    if template:
        return (
            f"found `{template.group()}`, expected a literal value; a description is not a template "
            "(what differs between hosts belongs into host_vars or group_vars beside it)"
        )
    if not text.isprintable():
        odd = next(character for character in text if not character.isprintable())
        if odd in "\r\n":
            return "found a line break in a text, expected one line"
        return f"found the invisible character U+{ord(odd):04X}, expected text that can be seen"
    return ""
