"""The typer application, the options that verbs share, and how errors and results are shown."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from nimctl import __version__
from nimctl.errors import NimctlError

# The order is the order of `nimctl --help`: from the first file to the end of a cluster's life.
VERBS: tuple[str, ...] = (
    "init",
    "validate",
    "inventory",
    "lock",
    "plan",
    "contracts",
    "render",
    "lint",
    "diff",
    "provision",
    "status",
    "logs",
    "test",
    "bench",
    "drain",
    "undrain",
    "replace",
    "bundle",
    "destroy",
    "lab",
    "env",
)

app = typer.Typer(
    name="nimctl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Help is written as docstrings: their line breaks are none of the text.
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Turn bare GPU machines into a served large model, across nodes.",
)

messages = Console(stderr=True, highlight=False)
"""Where messages for people go; stdout holds results only."""

InventoryOption = Annotated[
    Path,
    typer.Option("-i", "--inventory", help="Inventory folder that holds cluster.yml.", show_default=True),
]
FormatOption = Annotated[str, typer.Option("--format", help="text or json.")]


def print_json(result: Any) -> None:
    """Write a result to stdout as JSON, and nothing else."""
    json.dump(result, sys.stdout, indent=2, sort_keys=False, default=str)
    sys.stdout.write("\n")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nimctl {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Turn bare GPU machines into a served large model, across nodes."""


def _wanted(arguments: list[str]) -> tuple[str, ...]:
    """The verbs to load: importing all of them takes longer than most of them run."""
    first = arguments[0] if arguments else ""
    if first == "--version":
        return ("env",)
    return (first,) if first in VERBS else VERBS


def run() -> None:
    """Load the verbs, run the one that was asked for and turn errors into messages and exit codes."""
    for verb in _wanted(sys.argv[1:]):
        importlib.import_module(f"nimctl.cli.{verb}").register(app)
    try:
        app()
    except NimctlError as error:
        messages.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(error.exit_code)
