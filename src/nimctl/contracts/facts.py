"""What engines need and what each fabric's network variables are: data of ``nimctl/data``, typed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import TypeAdapter

from nimctl.contracts.model import Evidence, Strict

_DATA = Path(__file__).parent.parent / "data"


class EngineFacts(Strict):
    """What one engine needs; ``shm`` and ``deadline`` go before the contract's."""

    gpus: Literal["required", "optional"]
    devices: Literal["all", "gpus"]
    downloads: bool
    shm: str | None = None
    deadline: str | None = None
    source: str


class NetworkVariable(Strict):
    """One variable derived from the fabric; ``value: null`` is one that is left unset on purpose."""

    name: str
    value: str | None
    kinds: list[Literal["infiniband", "roce", "ethernet"]]
    when: list[Literal["interface", "hcas", "ipv6"]]
    why: str
    source: str
    evidence: Evidence


class Metrics(Strict):
    """Where an engine shows its work on the API port of rank 0: names of Prometheus counters at ``paths``.

    Of ``generated`` and ``prompt`` tokens the first name that is there counts. ``progress`` are further
    counters that grow with every step, also while nothing is finished.
    """

    paths: tuple[str, ...]
    generated: tuple[str, ...]
    prompt: tuple[str, ...]
    progress: tuple[str, ...] = ()
    source: str

    @property
    def counters(self) -> tuple[str, ...]:
        """Everything that grows while the engine works."""
        return tuple(sorted({*self.generated, *self.prompt, *self.progress}))


@cache
def metrics() -> Mapping[str, Metrics]:
    """Counters by engine."""
    return TypeAdapter(dict[str, Metrics]).validate_python(_read("metrics.yml"), strict=False)


@cache
def engines() -> Mapping[str, EngineFacts]:
    """Facts by engine."""
    return TypeAdapter(dict[str, EngineFacts]).validate_python(_read("engines.yml"))


@cache
def network() -> tuple[NetworkVariable, ...]:
    """The variables that a fabric asks for, in the order in which they are shown."""
    return tuple(TypeAdapter(list[NetworkVariable]).validate_python(_read("network.yml")))


def _read(name: str) -> object:
    return yaml.safe_load((_DATA / name).read_text(encoding="utf-8"))
