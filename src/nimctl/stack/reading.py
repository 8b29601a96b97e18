"""Read the tables of the host stack: those that come with nimctl, and a user's ``stack.yml``.

``stack.yml`` lies beside the description. It has the shipped tables' names as sections, each with rows like
theirs; a row of the same name replaces the shipped one.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from nimctl.description import source
from nimctl.description.tables import PLUGIN, checked, mapping, rows
from nimctl.description.words import nearest
from nimctl.errors import DescriptionError, Problem
from nimctl.stack import rows as kinds
from nimctl.stack.versions import Versions

FILE = "stack.yml"

TABLES: dict[str, type[kinds.Marked]] = {
    "generations": kinds.Generation,
    "devices": kinds.Device,
    "drivers": kinds.Branch,
    "driver_packages": kinds.DriverPackages,
    "nvlink": kinds.NvLink,
    "toolkits": kinds.Toolkit,
    "cdi": kinds.Cdi,
    "docas": kinds.Doca,
    "nccls": kinds.Nccl,
    "distributions": kinds.Distribution,
    "publishers": kinds.Publisher,
    "rules": kinds.Rule,
    "tuning": kinds.Setting,
    "rdma_packages": kinds.RdmaPackages,
}
"""Each table's name, in ``Versions``, in ``stack.yml`` and of its file in ``data/stack``, and its rows."""

_NUMBERED = ("drivers", "nvlink")


def load(folder: Path | None = None) -> Versions:
    """The tables, with the user's rows of a folder. Raises DescriptionError where those are wrong."""
    if folder is None:
        return shipped()
    versions, problems = read(folder)
    if problems:
        raise DescriptionError(problems)
    return versions


@cache
def shipped() -> Versions:
    """The tables that come with nimctl."""
    problems: list[Problem] = []
    data = files("nimctl") / "data" / "stack"
    tables: dict[str, dict[str, Any]] = {}
    for name, model in TABLES.items():
        text = (data / f"{name}.yml").read_text("utf-8")
        tables[name] = _named(name, rows(model, text, Path(f"{name}.yml"), problems))
    if problems:
        raise ValueError("\n".join(map(str, problems)))
    return _versions(tables)


def read(folder: Path) -> tuple[Versions, list[Problem]]:
    """The tables with the rows of a folder's ``stack.yml``, and what is wrong there."""
    path = folder / FILE
    if not path.exists():
        return shipped(), []
    problems: list[Problem] = []
    tables = {name: dict(getattr(shipped(), name)) for name in TABLES}
    try:
        raw, positions = mapping(source.read_text(path), path, problems, plugin=PLUGIN)
    except source.SourceError as error:
        return shipped(), error.problems
    for section, content in raw.items():
        if section not in TABLES:
            known = ", ".join(TABLES)
            message = f"found an unknown table, expected one of {known}{nearest(section, TABLES)}"
            problems.append(Problem((section,), message, path, *positions.key((section,))))
        elif not isinstance(content, dict):
            message = "expected a mapping of names to rows"
            problems.append(Problem((section,), message, path, *positions.nearest((section,))))
        else:
            own = checked(TABLES[section], content, (section,), path, positions, problems)
            if section in _NUMBERED:
                for name in [name for name in own if not name.isdigit()]:
                    message = f'found the name "{name}", expected a number'
                    problems.append(Problem((section, name), message, path, *positions.key((section, name))))
                    del own[name]
            tables[section].update(_named(section, own))
    for name, device in tables["devices"].items():
        if device.generation not in tables["generations"]:
            where = ("devices", name, "generation")
            message = f"found {device.generation}, expected one of {', '.join(tables['generations'])}"
            problems.append(Problem(where, message, path, *positions.nearest(where)))
    return (shipped() if problems else _versions(tables)), problems


def _named(table: str, found: dict[str, Any]) -> dict[str, Any]:
    """Rows that know their own name."""
    field = {"drivers": "number", "distributions": "name"}.get(
        table, "version" if table in ("toolkits", "docas", "nccls") else ""
    )
    if not field:
        return found
    return {
        name: row.model_copy(update={field: int(name) if table == "drivers" else name})
        for name, row in found.items()
    }


def _versions(tables: dict[str, dict[str, Any]]) -> Versions:
    drivers = dict(sorted(tables["drivers"].items(), key=lambda item: int(item[0])))
    return Versions(**{**tables, "drivers": drivers})
