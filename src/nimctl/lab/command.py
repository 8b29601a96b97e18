"""Running programs for the lab: quietly, without secrets in their arguments, and with errors for people."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nimctl.errors import NimctlError

_SHOWN_LINES = 15
_interrupted = threading.Event()
_processes: set[subprocess.Popen[bytes]] = set()


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
    if _interrupted.is_set():
        raise CommandError(argv, 130, "interrupted")
    given = subprocess.PIPE if data is not None else source or subprocess.DEVNULL
    try:
        with (
            subprocess.Popen(  # noqa: S603 (the lab's own commands, never a shell)
                list(argv),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **environment} if environment else None,
                cwd=folder,
            ) as process,
            running(process),
        ):
            try:
                stdout, stderr = process.communicate(data, timeout)
            except subprocess.TimeoutExpired as error:
                process.kill()
                raise CommandError(argv, 124, f"no answer within {timeout:g} s") from error
    except FileNotFoundError as error:
        raise CommandError(
            argv, 127, f"{error.filename}: not found. `make setup` installs what the lab needs."
        ) from error
    out, err = stdout.decode(errors="replace"), stderr.decode(errors="replace")
    if check and process.returncode:
        raise CommandError(argv, process.returncode, err or out)
    return subprocess.CompletedProcess(list(argv), process.returncode, out, err)


@contextmanager
def running(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Let ``interrupt`` end a process as long as it is needed."""
    _processes.add(process)
    try:
        yield
    finally:
        _processes.discard(process)


def interrupt() -> None:
    """End all programs that run now, and let no other start: somebody pressed Ctrl-C."""
    _interrupted.set()
    for process in list(_processes):
        if process.poll() is None:
            process.terminate()


def interrupted() -> bool:
    """Whether somebody pressed Ctrl-C; threads that wait for something look here."""
    return _interrupted.is_set()
