"""The tunables of the engine itself, which any contract may carry in its environment."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields

from .errors import LaunchError


@dataclass(frozen=True, slots=True)
class Settings:
    """Each field is read from ``REHEARSAL_<FIELD>``. Times are in seconds.

    ``share`` says how many layers each pipeline stage holds (``31,30``); empty means evenly.
    ``prefill_seconds_per_1k`` and ``token_seconds`` slow the engine down to the pace of a large model.
    ``group`` is a word that all ranks of a group must agree on.
    """

    layers: int = 8
    hidden: int = 64
    heads: int = 16
    window: int = 64
    seed: int = 1
    share: str = ""
    group: str = ""
    max_model_len: int = 131072
    max_seqs: int = 16
    start_seconds: float = 0.0
    token_seconds: float = 0.0
    prefill_seconds_per_1k: float = 0.0
    join_seconds: float = 600.0
    execute_timeout_seconds: float = 300.0

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Settings:
        """Take the tunables from the environment; raises LaunchError naming every bad value."""
        values: dict[str, int | float | str] = {}
        problems = []
        for field in fields(cls):
            name = variable(field.name)
            text = environment.get(name, "").strip()
            if not text:
                continue
            try:
                values[field.name] = _parse(text, field.default, zero=field.name == "seed")
            except ValueError as error:
                problems.append(f"{name}={text!r}: {error}")
        if problems:
            raise LaunchError(problems)
        settings = cls(**values)  # type: ignore[arg-type]  # _parse keeps the type of each default
        if settings.hidden % settings.heads:
            raise LaunchError(
                [f"REHEARSAL_HIDDEN={settings.hidden} is no multiple of {settings.heads} heads"]
            )
        return settings

    @property
    def model_identity(self) -> dict[str, int | str]:
        """What every rank must agree on, because it decides the weights and who holds which."""
        names = ("layers", "hidden", "heads", "window", "seed", "share", "group")
        return {name: getattr(self, name) for name in names}


def variable(field: str) -> str:
    """Name the variable that sets a field."""
    return f"REHEARSAL_{field.upper()}"


VARIABLES = frozenset(variable(field.name) for field in fields(Settings))


def _parse(text: str, default: object, *, zero: bool) -> int | float | str:
    if isinstance(default, int):
        number = int(text) if text.lstrip("-").isdigit() else None
        if number is None or number < 0:
            raise ValueError("expected a whole number")
        if number == 0 and not zero:
            raise ValueError("expected a number above 0")
        return number
    if isinstance(default, float):
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < math.inf:
            raise ValueError("expected a number of seconds")
        return seconds
    return text
