"""Which variables and arguments a description may not set, and what to use instead."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class Reserved:
    """Why a name is taken: what it carries, and where that belongs instead."""

    carries: str
    instead: str


@dataclass(frozen=True, slots=True)
class Table:
    """Reserved names of one kind, the prefixes apart, and the names whose value is a secret."""

    exact: dict[str, Reserved]
    prefixes: dict[str, Reserved]
    secrets: frozenset[str]

    def reason(self, name: str) -> Reserved | None:
        """Why this name is reserved; None where it is not."""
        if name in self.exact:
            return self.exact[name]
        return next((why for prefix, why in self.prefixes.items() if name.startswith(prefix)), None)


@cache
def environment() -> Table:
    """The reserved variables; names are in upper case."""
    return _table("environment")


@cache
def arguments() -> Table:
    """The reserved arguments, as they are written on a command line."""
    return _table("arguments")


def _table(kind: str) -> Table:
    text = (files("nimctl") / "data" / "reserved.yml").read_text("utf-8")
    rows = yaml.load(text, Loader=yaml.SafeLoader)
    exact: dict[str, Reserved] = {}
    prefixes: dict[str, Reserved] = {}
    for row in rows[kind]:
        why = Reserved(row["carries"], row["instead"])
        for name in row["names"]:
            if name.endswith("*"):
                prefixes[name[:-1]] = why
            else:
                exact[name] = why
    return Table(exact, prefixes, frozenset(rows[f"secret_{kind}"]["names"]))
