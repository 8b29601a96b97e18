"""The planner's tables: YAML rows with sources, shipped in ``nimctl/data``, open to a user's own.

The same files as the description reads, without its models: a plan must not take longer to load than to make.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from nimctl.errors import RejectedError

PLUGIN = "nimctl.multinode.cluster"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Row:
    """One row; reading a value that is missing or of the wrong kind is an error that names file and row."""

    name: str
    file: str
    data: Mapping[str, Any]

    def text(self, key: str, default: str | None = None) -> str:
        """A text."""
        value = self.data.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, value, "a text")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        """A number that is not negative."""
        value = self.data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise self.wrong(key, value, "a number that is not negative")
        return float(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty where there is none."""
        value = self.data.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, value, "a list of texts")
        return tuple(value)

    def mapping(self, key: str) -> Mapping[str, Any]:
        """A mapping, empty where there is none."""
        value = self.data.get(key) or {}
        if not isinstance(value, dict):
            raise self.wrong(key, value, "a mapping")
        return value

    def rows(self, key: str) -> Iterator[Row]:
        """A list of mappings, each as a row."""
        value = self.data.get(key) or []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, value, "a list of mappings")
        for index, item in enumerate(value):
            yield Row(f"{self.name}.{key}[{index}]", self.file, item)

    def wrong(self, key: str, found: object, expected: str) -> RejectedError:
        """The error for a value."""
        shown = "nothing" if found is None else repr(found)
        return RejectedError(f"{self.file}: {self.name}.{key}: found {shown}, expected {expected}")


@cache
def _shipped(name: str) -> Mapping[str, Any]:
    data = yaml.load((files("nimctl") / "data" / f"{name}.yml").read_text("utf-8"), Loader=_LOADER)  # noqa: S506
    assert isinstance(data, dict)
    return data


def _own(file: Path) -> dict[str, Any]:
    try:
        data = yaml.load(file.read_text("utf-8"), Loader=_LOADER)  # noqa: S506 - a safe loader
    except OSError as error:
        raise RejectedError(f"{file}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RejectedError(f"{file}: is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(data, dict) or data.pop("plugin", None) != PLUGIN:
        raise RejectedError(
            f"{file}: expected a mapping of names to rows that begins with `plugin: {PLUGIN}`, or Ansible "
            "takes this file for an inventory"
        )
    return data


def rows(name: str, folder: Path | None = None) -> dict[str, Row]:
    """The rows of a table, with those of a folder's ``<name>.yml`` added. Raises RejectedError."""
    found = {key: (f"{name}.yml", value) for key, value in _shipped(name).items()}
    if folder is not None and (file := folder / f"{name}.yml").exists():
        found |= {key: (str(file), value) for key, value in _own(file).items()}
    table = {}
    for key, (where, value) in found.items():
        if not isinstance(value, dict):
            raise RejectedError(f"{where}: {key}: found {value!r}, expected a mapping")
        table[str(key)] = Row(str(key), where, value)
    return table
