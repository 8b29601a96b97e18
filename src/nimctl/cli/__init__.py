"""The command line: one module per verb, each with a ``register`` function that adds it to the app."""

from __future__ import annotations

from nimctl.cli.app import app, run

__all__ = ["app", "main"]


def main() -> None:
    """Run the command line interface and exit with its code."""
    run()
