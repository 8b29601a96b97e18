"""Validate the shape of a description and word what pydantic finds for people.

A description with mistakes still gives every section that is sound, so that the checks of what fields
mean together can report their problems in the same run.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nimctl.description.document import (
    Connection,
    Deployment,
    Document,
    Kubernetes,
    NodeEntry,
    SecretSource,
    Slurm,
    Stack,
    Storage,
)
from nimctl.description.fields import NODE_SET
from nimctl.description.findings import MAX_PROBLEMS, Findings
from nimctl.description.words import SECRET_NAMES, listing, nearest, show
from nimctl.errors import Field

Model = TypeVar("Model", bound=BaseModel)
SOURCES_OF_SECRETS = "{env: VARIABLE}, {file: PATH} or {vault: VARIABLE}"


@dataclass(frozen=True, slots=True)
class Sections:
    """What of a description is sound; entries keep the index that they have in the file."""

    name: str = ""
    connection: Connection = field(default_factory=Connection)
    stack: Stack = field(default_factory=Stack)
    nodes: Mapping[int, NodeEntry] = field(default_factory=dict)
    storage: Mapping[int, Storage] = field(default_factory=dict)
    deployments: Mapping[int, Deployment] = field(default_factory=dict)
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    kubernetes: Kubernetes = field(default_factory=Kubernetes)
    slurm: Slurm = field(default_factory=Slurm)


def validate(raw: Any, findings: Findings) -> Sections:
    """Validate a parsed description; every problem of its shape goes to ``findings``."""
    if not isinstance(raw, dict):
        findings.add((), f"found {show(raw)}, expected a mapping that begins with `plugin:`")
        return Sections()
    try:
        document = Document.model_validate(raw)
    except ValidationError as error:
        if error.error_count() > MAX_PROBLEMS:
            _report_some(raw, error.error_count(), findings)
            return Sections()
        wrong: list[Field] = []
        for detail in error.errors(include_url=False):
            wrong.append(_field(detail["loc"], raw))
            _report(wrong[-1], dict(detail), findings)
        return _sound(raw, wrong)
    return Sections(
        name=document.name,
        connection=document.connection,
        stack=document.stack,
        nodes=dict(enumerate(document.nodes)),
        storage=dict(enumerate(document.storage)),
        deployments=dict(enumerate(document.deployments)),
        secrets=document.secrets,
        kubernetes=document.kubernetes,
        slurm=document.slurm,
    )


_OF_KEY = "[key]"
"""What pydantic adds to a location where the key is wrong, not its value."""


def _report_some(raw: Any, count: int, findings: Findings) -> None:
    """Word the problems of the beginning of a hopeless file: wording hundreds of thousands takes seconds."""
    try:
        Document.model_validate(_beginning(raw, 500))
    except ValidationError as error:
        details = error.errors(include_url=False)[:MAX_PROBLEMS]
        for detail in details:
            _report(_field(detail["loc"], raw), dict(detail), findings)
        findings.leave_out(count - len(details))
    else:
        findings.add((), f"found {count:,} values of a wrong kind, expected none")


def _beginning(value: Any, length: int) -> Any:
    """A copy with only the first entries of each list and mapping."""
    if isinstance(value, dict):
        return {key: _beginning(entry, length) for key, entry in itertools.islice(value.items(), length)}
    if isinstance(value, list):
        return [_beginning(entry, length) for entry in value[:length]]
    return value


def _field(location: tuple[int | str, ...], raw: Any) -> Field:
    """Pydantic's location without the names of union members, which are no part of the file."""
    value: Any = raw
    path: list[int | str] = []
    for part in location:
        if part == _OF_KEY:
            break
        if isinstance(value, dict) and isinstance(part, str):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            value = value[part]
        else:
            break
        path.append(part)
    return tuple(path)


def _report(where: Field, detail: dict[str, Any], findings: Findings) -> None:
    kind, found, context = detail["type"], detail["input"], detail.get("ctx", {})
    schema = _schema_at(where)
    if kind == "extra_forbidden":
        findings.add(where, _unknown_key(where, findings.suggesting), key=True)
    elif kind == "missing":
        findings.add(where, f"found nothing, expected {_missing(schema, str(where[-1]))}")
    elif where[0] == "secrets" and len(where) == 2 and not isinstance(found, dict | None):
        findings.add(where, f"found a literal value (not shown), expected its source: {SOURCES_OF_SECRETS}")
    elif kind == "literal_error" and detail["loc"][-1] == _OF_KEY:
        allowed = re.findall(r"'([^']*)'", context["expected"])
        message = f"found an unknown name, expected {listing(allowed)}{nearest(str(found), allowed)}"
        findings.add(where, message, key=True)
    elif kind == "literal_error":
        allowed = [str(value) for value in schema.get("enum", [schema.get("const")])]
        near = nearest(found, allowed) if isinstance(found, str) and len(allowed) > 1 else ""
        findings.add(where, f"found {_shown(where, found)}, expected {listing(allowed)}{near}")
    else:
        wanted = context["expected"] if kind == "expected" else _expected(schema)
        advice = _advice(kind, found, schema)
        findings.add(where, f"found {_shown(where, found)}, expected {wanted}{advice}")


def _shown(where: Field, found: Any) -> str:
    """The value that was found, unless its place says that it may be a secret."""
    hidden = where[0] == "secrets" or any(
        isinstance(part, str) and SECRET_NAMES.search(part) for part in where
    )
    return "a value (not shown)" if hidden and isinstance(found, str) else show(found)


def _advice(kind: str, found: Any, schema: dict[str, Any]) -> str:
    """How to write a value that was meant well: with quotes, or without."""
    if kind == "int_type" and isinstance(found, str) and found.strip().isdigit():
        return " (write it without quotes)"
    if kind == "bool_type" and isinstance(found, str) and found.lower() in ("true", "false", "yes", "no"):
        return " (write it without quotes)"
    if kind == "string_type" and isinstance(found, bool | int | float):
        text = str(found).lower() if isinstance(found, bool) else str(found)
        if "pattern" not in schema or re.fullmatch(schema["pattern"], text):
            return f' (write it in quotes: "{text}")'
    if kind == "string_type" and isinstance(found, list) and schema.get("examples") == [NODE_SET]:
        return " (join names with commas)"
    return ""


def _missing(schema: dict[str, Any], name: str) -> str:
    if "const" in schema:
        return f"`{name}: {schema['const']}`"
    about = listing(schema["enum"]) if "enum" in schema else schema.get("description", "")
    # The description of a mapping is the docstring of its model.
    about = f" ({about[0].lower()}{about[1:].rstrip('.')})" if about else ""
    return f"the key `{name}`{about}"


@cache
def _schema() -> dict[str, Any]:
    return Document.model_json_schema()


def _schema_at(where: Field) -> dict[str, Any]:
    """The part of the JSON Schema that describes a field; empty where nothing does."""
    schema = _schema()
    for part in where:
        schema = _resolved(schema)
        if isinstance(part, int):
            below = schema.get("items", {})
        else:
            below = schema.get("properties", {}).get(part, schema.get("additionalProperties", {}))
        schema = below if isinstance(below, dict) else {}
    return _resolved(schema)


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and choose what is not null of two."""
    while True:
        if "$ref" in schema:
            schema = _schema()["$defs"][schema["$ref"].rsplit("/", 1)[-1]]
        elif "anyOf" in schema:
            about = {key: value for key, value in schema.items() if key != "anyOf"}
            choices = [choice for choice in schema["anyOf"] if choice.get("type") != "null"]
            schema = {**about, **choices[0]}
        else:
            return schema


def _expected(schema: dict[str, Any]) -> str:
    """What a field wants, in words."""
    match schema.get("type"):
        case "integer":
            low, high = schema.get("minimum"), schema.get("maximum")
            return "a whole number" if low is None else f"a whole number from {low} to {high}"
        case "boolean":
            return "true or false"
        case "array":
            return _expected_list(schema)
        case "object" if "properties" in schema:
            return f"a mapping with {listing(schema['properties'])}"
        case "object" if schema.get("additionalProperties", {}) == {"type": "string"}:
            return "a mapping of names to texts"
        case "object":
            return "a mapping"
        case "string" if "enum" in schema:
            return listing(schema["enum"])
        case _:
            examples = schema.get("examples", [])
            return f"text such as {examples[0]}" if examples else "text"


def _expected_list(schema: dict[str, Any]) -> str:
    items = _resolved(schema.get("items", {}))
    what = {"integer": " of whole numbers", "string": " of texts"}.get(items.get("type", ""), "")
    if "maxItems" in schema:
        return f"a list of at most {schema['maxItems']:,}"
    return f"a list{what}, with at least one entry" if schema.get("minItems") else f"a list{what}"


def _unknown_key(where: Field, suggesting: bool) -> str:
    parent = _schema_at(where[:-1])
    known = list(parent.get("properties", {}))
    name = str(where[-1])
    message = f"found an unknown key, expected {listing(known, limit=30)}"
    if not suggesting:
        return message
    return message + (nearest(name, known) or _elsewhere(name))


def _elsewhere(name: str) -> str:
    """Where a key of this name, or nearly, belongs when it stands at the wrong place."""
    owners = {key: place for place, keys in reversed(_places().items()) for key in keys}
    if name in owners:
        return f"; `{name}` is a key of `{owners[name]}`"
    near = nearest(name, owners)
    match = re.search(r"mean (.+)\?$", near)
    return f"{near[:-1]}, a key of `{owners[match[1]]}`?" if match else ""


@cache
def _places() -> dict[str, tuple[str, ...]]:
    """Every mapping of a description with its keys, by the way to it."""
    places: dict[str, tuple[str, ...]] = {}

    def visit(schema: dict[str, Any], place: str) -> None:
        schema = _resolved(schema)
        if place:
            places[place] = tuple(schema.get("properties", {}))
        for key, below in schema.get("properties", {}).items():
            below = _resolved(below)
            if below.get("type") == "array":
                below = _resolved(below.get("items", {}))
            if "properties" in below:
                visit(below, f"{place}.{key}" if place else key)

    visit(_schema(), "")
    return places


# What stands in for a required value that is wrong, so that the rest of its entry is still checked; the
# problem with the value itself is known by then.
_STAND_INS: dict[str, dict[str, Any]] = {
    "nodes": {"gpu": {"count": 0}},
    "gpu": {"count": 0},
    "fabric": {"kind": "infiniband", "rate": "ndr"},
    "storage": {"kind": "existing", "mount": "/stand-in"},
    "deployments": {"name": "stand-in", "model": "stand-in", "engine": "rehearsal", "image": "stand-in"},
    "registries": {"host": "stand-in"},
}


def _sound(raw: dict[str, Any], wrong: list[Field]) -> Sections:
    """The sections that hold: optional fields that are wrong are left out, required ones stood in for."""
    by_entry: dict[Field, list[Field]] = {}
    for where in wrong:
        by_entry.setdefault(where[:2], []).append(where[2:])
    singles = {key: [where[1:] for where in wrong if where[0] == key] for key in ("connection", "stack")}
    name = raw.get("name")
    return Sections(
        name=name if isinstance(name, str) and ("name",) not in wrong else "",
        connection=_try(Connection, "connection", raw.get("connection", {}), singles["connection"])
        or Connection(),
        stack=_try(Stack, "stack", raw.get("stack", {}), singles["stack"]) or Stack(),
        nodes=_entries(NodeEntry, raw, "nodes", by_entry),
        storage=_entries(Storage, raw, "storage", by_entry),
        deployments=_entries(Deployment, raw, "deployments", by_entry),
        secrets=_secrets(raw.get("secrets")),
    )


def _entries(
    model: type[Model], raw: dict[str, Any], section: str, wrong: dict[Field, list[Field]]
) -> dict[int, Model]:
    items = raw.get(section)
    if not isinstance(items, list) or (section,) in wrong:
        return {}
    found = (
        (index, _try(model, section, item, wrong.get((section, index), [])))
        for index, item in enumerate(items)
    )
    return {index: entry for index, entry in found if entry is not None}


def _secrets(raw: Any) -> dict[str, SecretSource]:
    if not isinstance(raw, dict):
        return {}
    # A source that is wrong is stood in for: that its secret is missing would be a second message about it.
    stand_in = SecretSource(env="STAND_IN")
    return {name: _try(SecretSource, "secrets", source, []) or stand_in for name, source in raw.items()}


def _try(model: type[Model], name: str, value: Any, wrong: list[Field]) -> Model | None:
    try:
        return model.model_validate(_mended(name, value, wrong) if wrong else value)
    except ValidationError:
        return None


def _mended(name: str, value: Any, wrong: list[Field]) -> Any:
    """A copy of a value without what is wrong in it, and with stand-ins for what it needs."""
    below: dict[str | int, list[Field]] = {}
    for where in wrong:
        if where:
            below.setdefault(where[0], []).append(where[1:])
    if isinstance(value, dict):
        kept = {
            key: _mended(key, entry, below[key]) if key in below else entry
            for key, entry in value.items()
            if key not in below or (isinstance(entry, dict | list) and () not in below[key])
        }
        # A list of which nothing is left is left out, for lists that may not be empty.
        filled = {key: entry for key, entry in kept.items() if entry != [] or key not in below}
        return {**_STAND_INS.get(name, {}), **filled}
    if isinstance(value, list):
        return [
            _mended(name, entry, below[index]) if index in below else entry
            for index, entry in enumerate(value)
            if index not in below or (isinstance(entry, dict) and () not in below[index])
        ]
    return value
