from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nimctl.cli import plan as verb
from nimctl.cli.app import app
from nimctl.errors import NimctlError


@pytest.fixture(scope="session")
def call() -> Callable[..., Result]:
    """``nimctl plan WORDS`` in this process; errors become exit codes as ``run`` makes them."""
    names = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    if "plan" not in names:
        verb.register(app)

    def invoke(*words: str) -> Result:
        result = CliRunner().invoke(app, ["plan", *words])
        if isinstance(result.exception, NimctlError):
            result.exit_code = result.exception.exit_code
        elif result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture(scope="session")
def answer(call: Callable[..., Result]) -> Callable[..., dict[str, Any]]:
    """What ``nimctl plan --format json WORDS`` prints."""

    def ask(*words: str) -> dict[str, Any]:
        result = call(*words, "--format", "json")
        found = json.loads(result.stdout)
        assert result.exit_code == (0 if found["fits"] else 1)
        assert isinstance(found, dict)
        return found

    return ask
