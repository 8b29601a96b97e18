"""Tables of what the outside world may change: YAML rows with sources, which a user can add to.

A table is a mapping of names to rows. Shipped tables lie in ``nimctl/data``; a user's own lie beside the
description and are checked as it is, with line and column.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nimctl.description import source
from nimctl.description.marks import Positions
from nimctl.description.words import nearest, show
from nimctl.errors import Field as FieldName
from nimctl.errors import Problem

PLUGIN = "nimctl.multinode.cluster"


class Row(BaseModel):
    """A row of a table; each says where its numbers come from."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    source: str = Field(min_length=3, description="Where the numbers come from")


RowType = TypeVar("RowType", bound=Row)


def own_rows(model: type[RowType], path: Path, problems: list[Problem]) -> dict[str, RowType]:
    """The rows of a user's file of one table; none where there is no such file."""
    if not path.exists():
        return {}
    try:
        return rows(model, source.read_text(path), path, problems, plugin=PLUGIN)
    except source.SourceError as error:
        problems.extend(error.problems)
        return {}


def rows(
    model: type[RowType], text: str, path: Path, problems: list[Problem], plugin: str = ""
) -> dict[str, RowType]:
    """The rows of a file of one table; what is wrong is added to ``problems``. Raises SourceError."""
    raw, positions = mapping(text, path, problems, plugin)
    return checked(model, raw, (), path, positions, problems)


def mapping(
    text: str, path: Path, problems: list[Problem], plugin: str = ""
) -> tuple[dict[str, Any], Positions]:
    """A file that holds a mapping, without the key that tells Ansible whose it is. Raises SourceError."""
    raw, mark, found = source.parse(text, path)
    problems.extend(found)
    positions = Positions(mark)
    if not isinstance(raw, dict):
        message = f"found {show(raw)}, expected a mapping of names to rows"
        problems.append(Problem((), message, path, *positions.nearest(())))
        return {}, positions
    if plugin and raw.pop("plugin", None) != plugin:
        # Ansible reads every file of an inventory folder; this key tells it to leave this one to us.
        message = f"found nothing, expected `plugin: {plugin}`, or Ansible takes this file for an inventory"
        problems.append(Problem(("plugin",), message, path, 1, 1))
    return raw, positions


def checked(
    model: type[RowType],
    raw: Mapping[str, Any],
    at: FieldName,
    path: Path,
    positions: Positions,
    problems: list[Problem],
) -> dict[str, RowType]:
    """The rows of a mapping that stands at ``at`` of a file."""
    found: dict[str, RowType] = {}
    for name, row in raw.items():
        try:
            found[name] = model.model_validate(row)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                where = (*at, name, *detail["loc"])
                message = _message(model, detail["type"], detail["loc"], detail["msg"], detail["input"])
                problems.append(Problem(where, message, path, *positions.nearest(where)))
    return found


def _message(model: type[Row], kind: str, location: tuple[int | str, ...], said: str, found: object) -> str:
    if kind == "missing":
        return "found nothing, expected a value"
    if kind == "extra_forbidden":
        known = list(model.model_fields)
        return f"found an unknown key, expected one of {', '.join(known)}{nearest(str(location[-1]), known)}"
    return f"found {show(found)}, expected: {said[0].lower()}{said[1:]}"
