"""Command lines, read as the engines' own argparse does: what it does not know ends the rank."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import NoReturn

from ..errors import LaunchError


class Parser(argparse.ArgumentParser):
    """An argument parser that raises LaunchError with the message and exit code of argparse."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog=prog, add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """End the rank with the words of argparse."""
        raise LaunchError([f"{self.prog}: error: {message}"], exit_code=2)

    def switches(self, names: str, *, negatable: bool) -> None:
        """Add flags without a value; with ``negatable`` each also has a ``--no-`` form."""
        for name in names.split():
            if negatable:
                self.add_argument(name, action=argparse.BooleanOptionalAction, default=None)
            else:
                self.add_argument(name, action="store_true")

    def values(self, names: str) -> None:
        """Add flags whose value is accepted and not looked at; aliases are joined by ``|``."""
        for name in names.split():
            self.add_argument(*name.split("|"))


def number(low: int, high: int) -> Callable[[str], int]:
    """An argument type: a whole number between two others."""

    def convert(text: str) -> int:
        if not text.isdigit() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number between {low} and {high}")
        return int(text)

    return convert


def with_dashes(arguments: Sequence[str]) -> list[str]:
    """Write ``--some_flag`` and ``--some.nested=1`` as ``--some-flag`` and ``--some=1``, as vLLM does."""
    result = []
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if name.startswith("--"):
            plain = name.replace("_", "-").split(".")[0]
            argument = plain + separator + value
        result.append(argument)
    return result
