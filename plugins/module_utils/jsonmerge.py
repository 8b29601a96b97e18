"""Merging our keys into a JSON document that others write as well, so that ours can be taken out again.

A leaf is a value that is no object. For each leaf that we set, the record keeps what we put and what
was there before; of a list, only the items that we added.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Path = tuple[str, ...]
Json = dict[str, Any]


_STRING_OR_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def without_comments(text: str) -> str:
    """JSON without the comments of C that some programs allow in it; strings stay as they are."""
    return _STRING_OR_COMMENT.sub(lambda match: match[1] or "", text)


class ConflictError(ValueError):
    """The document has something where an object is needed."""


def merge(existing: Json, values: Json, defaults: Sequence[Json], record: Json) -> tuple[Json, Json]:
    """The document with our keys in it, and the new record.

    ``values`` win over what is there. Each of ``defaults`` is set as a whole, and only where the
    document has none of its top-level keys from anybody else.
    """
    base = without(existing, record)
    wanted: Json = {}
    for group in defaults:
        if not any(key in base for key in group):
            wanted.update(copy.deepcopy(group))
    _overlay(wanted, values)
    result = copy.deepcopy(base)
    leaves: list[Json] = []
    created: list[list[str]] = []
    for path, value in _leaves(wanted):
        if value == []:
            continue  # nothing to add, so no object is made for it either
        parent = _descend(result, path[:-1], created)
        key = path[-1]
        if isinstance(value, list) and isinstance(parent.get(key, []), list):
            present = parent.get(key, [])
            added = [item for item in value if item not in present]
            if added:
                leaves.append({"path": list(path), "added": added, "new": key not in parent})
                parent[key] = present + added
        elif key not in parent:
            leaves.append({"path": list(path), "value": value})
            parent[key] = value
        elif parent[key] != value:
            leaves.append({"path": list(path), "value": value, "before": parent[key]})
            parent[key] = value
    return result, {"leaves": leaves, "created": created} if leaves else {}


def together(former: Json, coming: Json) -> Json:
    """A record that holds whether or not the document was written: what neither put in place is ignored."""
    if not former or not coming:
        return former or coming
    return {key: [*former.get(key, []), *coming.get(key, [])] for key in ("leaves", "created")}


def without(document: Json, record: Mapping[str, Any]) -> Json:
    """The document without what the record says is ours; what others changed since stays."""
    result = copy.deepcopy(document)
    for leaf in record.get("leaves", []):
        parent = _find(result, leaf["path"][:-1])
        key = leaf["path"][-1]
        if parent is None or key not in parent:
            continue
        if "added" in leaf:
            if isinstance(parent[key], list):
                parent[key] = [item for item in parent[key] if item not in leaf["added"]]
                if not parent[key] and leaf["new"]:
                    del parent[key]
        elif parent[key] == leaf["value"]:
            if "before" in leaf:
                parent[key] = leaf["before"]
            else:
                del parent[key]
    for path in sorted(record.get("created", []), key=len, reverse=True):
        parent = _find(result, path[:-1])
        if parent is not None and parent.get(path[-1]) == {}:
            del parent[path[-1]]
    return result


def changed_keys(before: Json, after: Json) -> list[str]:
    """Top-level keys that differ."""
    return sorted(key for key in {*before, *after} if before.get(key) != after.get(key))


def _overlay(target: Json, values: Json) -> None:
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _overlay(target[key], value)
        else:
            target[key] = copy.deepcopy(value)


def _leaves(document: Json, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    for key, value in document.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _descend(document: Json, path: Sequence[str], created: list[list[str]]) -> Json:
    for depth, key in enumerate(path, 1):
        if key not in document:
            document[key] = {}
            created.append(list(path[:depth]))
        if not isinstance(document[key], dict):
            raise ConflictError(f"{'.'.join(path[:depth])} is {document[key]!r}, an object is needed there")
        document = document[key]
    return document


def _find(document: Any, path: Sequence[str]) -> Json | None:
    for key in path:
        if not isinstance(document, dict) or key not in document:
            return None
        document = document[key]
    return document if isinstance(document, dict) else None
