"""Find and read contracts: our own, and those that a user put beside a description."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from nimctl.contracts.model import Contract
from nimctl.errors import DescriptionError, Problem

PLUGIN = "nimctl.multinode.cluster"
FOLDER = Path(__file__).parent
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_contract(file: Path) -> Contract:
    """Read one contract file; raises DescriptionError with every problem, each with its line."""
    try:
        text = file.read_text(encoding="utf-8")
        tree = yaml.compose(text, Loader=_LOADER)
        data = yaml.load(text, Loader=_LOADER)  # noqa: S506 - the loader is a safe one
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptionError([Problem((), f"cannot be read: {error}", file)]) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = getattr(error, "problem", None) or str(error)
        raise DescriptionError([Problem((), f"not YAML: {what}", file, line, column)]) from error
    if not isinstance(data, dict):
        raise DescriptionError([Problem((), "must be a mapping that begins with `id`", file, 1, 1)])
    try:
        contract = Contract.model_validate(data)
    except ValidationError as error:
        raise DescriptionError([_problem(item, tree, file) for item in error.errors()]) from error
    if contract.id != file.stem:
        problem = Problem(
            ("id",), f"is {contract.id!r}, but the file is named {file.name}", file, *_place(tree, ("id",))
        )
        raise DescriptionError([problem])
    return contract


@cache
def builtin() -> Mapping[str, Contract]:
    """The contracts that come with nimctl, by id."""
    return {file.stem: read_contract(file) for file in sorted(FOLDER.glob("*.yml"))}


def load_contracts(folder: Path | None = None) -> Mapping[str, Contract]:
    """Our contracts and the user's from ``contracts/`` beside the description.

    A user's contract replaces ours of the same id. Raises DescriptionError with the problems of all files.
    """
    found = dict(builtin())
    if folder is None or not (folder / "contracts").is_dir():
        return found
    problems: list[Problem] = []
    for file in sorted((folder / "contracts").glob("*.yml")):
        try:
            contract = read_contract(file)
        except DescriptionError as error:
            problems += error.problems
            continue
        if contract.plugin != PLUGIN:
            # Ansible reads every file below an inventory folder; this key tells it to leave this one to us.
            problems.append(
                Problem(
                    ("plugin",),
                    f"missing; add `plugin: {PLUGIN}`, or Ansible takes the file for an inventory",
                    file,
                    1,
                    1,
                )
            )
            continue
        found[contract.id] = contract
    if problems:
        raise DescriptionError(problems)
    return found


def _problem(item: Any, tree: Any, file: Path) -> Problem:
    field = tuple(item["loc"])
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "is not a key of a contract"
    elif item["type"] == "missing":
        message = "is missing"
    return Problem(field, message, file, *_place(tree, field))


def _place(tree: Any, field: tuple[str | int, ...]) -> tuple[int, int]:
    """Line and column of a field, or of the innermost parent that exists."""
    node, mark = tree, tree.start_mark
    for part in field:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == part), None)
            if pair is None:
                break
            mark, node = pair[0].start_mark, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            mark = node.start_mark
        else:
            break
    return mark.line + 1, mark.column + 1
