"""Running programs for the lab: quietly, without secrets in their arguments, and with errors for people."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from nimctl.errors import NimctlError

_SHOWN_LINES = 15


class CommandError(NimctlError):
    """A program that the lab needs ended with an error; ``output`` is what it said."""

    def __init__(self, argv: Sequence[str], code: int, output: str) -> None:
        self.output = output
        tail = "\n".join(f"  {line}" for line in output.strip().splitlines()[-_SHOWN_LINES:])
        shown = shlex.join(argv)
        if len(shown) > 400:
            shown = shown[:400] + " ..."
        super().__init__(f"This command of the lab failed with exit code {code}:\n  {shown}\n{tail}".rstrip())


def root_prefix() -> tuple[str, ...]:
    """What makes a command run as root: nothing for root, sudo for others.

    Raises:
        NimctlError: neither root nor sudo.
    """
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo"):
        return ("sudo",)
    raise NimctlError(
        "The lab needs root: its nodes are privileged containers. Run it as root or install sudo."
    )


def run(
    argv: Sequence[str],
    *,
    data: bytes | None = None,
    source: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout: float | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and keep its output.

    Args:
        argv: The program and its arguments; never a secret.
        data: What it reads from standard input.
        source: A file that it reads from standard input instead.
        environment: Variables to add.
        folder: Its working directory.
        timeout: Seconds until it is killed.
        check: Whether an exit code other than 0 is an error.

    Raises:
        CommandError: it is missing, took too long, or failed.
    """
    stdin: dict[str, Any] = {"stdin": source or subprocess.DEVNULL} if data is None else {"input": data}
    try:
        done = subprocess.run(  # noqa: S603 (the lab's own commands, never a shell)
            list(argv),
            **stdin,
            capture_output=True,
            env={**os.environ, **environment} if environment else None,
            cwd=folder,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(
            argv, 127, f"{error.filename}: not found. `make setup` installs what the lab needs."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(argv, 124, f"no answer within {timeout:g} s") from error
    out = done.stdout.decode(errors="replace")
    err = done.stderr.decode(errors="replace")
    if check and done.returncode:
        raise CommandError(argv, done.returncode, err or out)
    return subprocess.CompletedProcess(list(argv), done.returncode, out, err)
