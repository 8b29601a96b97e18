"""What rules know about variables and load times: ``data/lint.yml``, typed."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import yaml
from pydantic import BaseModel, ConfigDict

from nimctl.contracts import builtin
from nimctl.description import reserved


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Invented(_Strict):
    """A name that no image reads."""

    instead: str
    why: str


class LoadSeconds(_Strict):
    """How long engines load."""

    several_nodes: dict[str, int]
    one_node: int


class Facts(_Strict):
    """The whole file."""

    invented: dict[str, Invented]
    invented_source: str
    required: dict[str, list[str]]
    required_outside_kubernetes: dict[str, list[str]]
    required_source: str
    known: list[str]
    known_prefixes: list[str]
    known_source: str
    load_seconds: LoadSeconds
    load_source: str


@cache
def facts() -> Facts:
    """The facts, read once."""
    return Facts.model_validate(yaml.safe_load((files("nimctl") / "data" / "lint.yml").read_text("utf-8")))


@cache
def known_variables() -> frozenset[str]:
    """Every variable of NIM that is known to exist."""
    of_contracts = {
        variable.name
        for contract in builtin().values()
        if contract.id != "article"
        for variable in contract.environment
    }
    return frozenset(facts().known) | of_contracts


def is_known(name: str) -> bool:
    """Whether an image of NIM reads a variable of this name, as far as anybody knows."""
    return name in known_variables() or name.startswith(tuple(facts().known_prefixes))


@cache
def secret_variables() -> frozenset[str]:
    """Variables whose value is a secret."""
    return reserved.environment().secrets


@cache
def secret_arguments() -> frozenset[str]:
    """Arguments whose value is a secret."""
    return reserved.arguments().secrets
