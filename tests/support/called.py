"""Call a verb in this process: as a user would, but without the second that a new one takes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from nimctl.cli.app import run


@dataclass(frozen=True)
class Called:
    """How a call ended, and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object) -> Called:
    """Call ``nimctl ARGUMENTS``."""
    monkeypatch.setattr("sys.argv", ["nimctl", *map(str, arguments)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        run()
    found = capsys.readouterr()
    code = ended.value.code
    return Called(code if isinstance(code, int) else 0, found.out, found.err)
