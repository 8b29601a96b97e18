"""Read the YAML that ``nvidia-ctk`` and people write into CDI specifications, without PyYAML.

The Python of a node may have none. Blocks of mappings and sequences, scalars plain and quoted, flow lists and
mappings on one line, comments: nothing else. Anchors, tags, multi-line strings and several documents are
refused, never misread. Every plain scalar but whole numbers, null and the Booleans is text.
"""

from __future__ import annotations

import json
import re
from typing import Any

KEY = re.compile(
    r"""^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'\[\]{},#&*!|>%@`-].*?|-[^\s].*?)\s*:(?:\s+(.*))?$"""
)
WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


class UnknownYamlError(Exception):
    """The text has something that this reader does not know."""


class _Line:
    def __init__(self, number: int, indent: int, text: str) -> None:
        self.number, self.indent, self.text = number, indent, text


def load(text: str) -> Any:
    """The value of a document. Raises UnknownYamlError."""
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        content = _without_comment(line).rstrip()
        if not content.strip() or (content == "---" and not lines):
            continue
        if content.startswith(("---", "...", "%")) or "\t" in content[: len(content) - len(content.lstrip())]:
            raise UnknownYamlError(f"line {number}: {content[:40]}")
        stripped = content.lstrip(" ")
        lines.append(_Line(number, len(content) - len(stripped), stripped))
    if not lines:
        return None
    value, rest = _block(lines, 0, lines[0].indent)
    if rest != len(lines):
        raise UnknownYamlError(f"line {lines[rest].number}: its indentation belongs to nothing")
    return value


def _without_comment(line: str) -> str:
    quote = ""
    for place, character in enumerate(line):
        if quote:
            # In double quotes a backslash hides what follows it.
            quote = "" if character == quote and not (quote == '"' and line[place - 1] == "\\") else quote
        elif character in "\"'" and (place == 0 or line[place - 1] in " [{,"):
            quote = character
        elif character == "#" and (place == 0 or line[place - 1] == " "):
            return line[:place]
    return line


def _block(lines: list[_Line], at: int, indent: int) -> tuple[Any, int]:
    """The value whose first line is ``at``; and the line after it."""
    if _is_item(lines[at].text):
        return _sequence(lines, at, indent)
    if KEY.match(lines[at].text):
        return _mapping(lines, at, indent)
    return _scalar(lines[at].text, lines[at].number), at + 1


def _is_item(text: str) -> bool:
    return text == "-" or text.startswith("- ")


def _sequence(lines: list[_Line], at: int, indent: int) -> tuple[list[Any], int]:
    found = []
    while at < len(lines) and lines[at].indent == indent and _is_item(lines[at].text):
        line = lines[at]
        rest = line.text[1:].lstrip(" ")
        if not rest:
            value, at = _nested(lines, at + 1, indent)
        else:
            # What follows the dash is a block of its own, as deep as it stands.
            deeper = line.indent + len(line.text) - len(rest)
            value, at = _block([*lines[:at], _Line(line.number, deeper, rest), *lines[at + 1 :]], at, deeper)
        found.append(value)
    return found, at


def _mapping(lines: list[_Line], at: int, indent: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while at < len(lines) and lines[at].indent == indent and not _is_item(lines[at].text):
        line = lines[at]
        match = KEY.match(line.text)
        if not match:
            raise UnknownYamlError(f"line {line.number}: {line.text[:40]}")
        key = str(_scalar(match[1], line.number))
        if match[2]:
            found[key] = _scalar(match[2], line.number)
            at += 1
        else:
            at += 1
            # The items of a sequence may stand as deep as its key.
            same = at < len(lines) and lines[at].indent == indent and _is_item(lines[at].text)
            found[key], at = _sequence(lines, at, indent) if same else _nested(lines, at, indent)
    return found, at


def _nested(lines: list[_Line], at: int, indent: int) -> tuple[Any, int]:
    if at < len(lines) and lines[at].indent > indent:
        return _block(lines, at, lines[at].indent)
    return None, at


def _scalar(text: str, number: int) -> Any:
    text = text.strip()
    if text[:1] in ("[", "{"):
        return _flow(text, number)
    if text[:1] == '"':
        return _quoted(text, number)
    if text[:1] == "'":
        if len(text) < 2 or not text.endswith("'") or "'" in text[1:-1].replace("''", ""):
            raise UnknownYamlError(f"line {number}: {text[:40]}")
        return text[1:-1].replace("''", "'")
    if text[:1] in tuple("&*!|>%@`") and text:
        raise UnknownYamlError(f"line {number}: {text[:40]}")
    if text.endswith(":") or ": " in text:
        raise UnknownYamlError(f"line {number}: {text[:40]}")
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    return int(text) if re.match(r"^-?(0|[1-9]\d*)$", text) else text


def _quoted(text: str, number: int) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        raise UnknownYamlError(f"line {number}: {text[:40]}") from None


def _flow(text: str, number: int) -> Any:
    """A list or mapping on one line: empty, of JSON, or a list of plain words."""
    try:
        return json.loads(text)
    except ValueError:
        words = re.match(r"^\[([^\[\]{}\"':]*)\]$", text)
        if not words:
            raise UnknownYamlError(f"line {number}: {text[:40]}") from None
        return [_scalar(word, number) for word in words[1].split(",")]
