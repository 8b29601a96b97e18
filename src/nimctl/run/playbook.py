"""Run a playbook through ansible-runner: follow it live, keep a record, stop cleanly on Ctrl-C."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from nimctl.errors import NimctlError
from nimctl.run import collection
from nimctl.run.events import Event, read

INTERRUPTED = 130
AGAIN_SECONDS = 8.0

PROMPTS: Mapping[str, tuple[str, str]] = {
    "-K": (r"BECOME password[^:]*:\s*?$", "BECOME password: "),
    "--ask-become-pass": (r"BECOME password[^:]*:\s*?$", "BECOME password: "),
    "-k": (r"SSH password:\s*?$", "SSH password: "),
    "--ask-pass": (r"SSH password:\s*?$", "SSH password: "),
    "-J": (r"Vault password[^:]*:\s*?$", "Vault password: "),
    "--ask-vault-password": (r"Vault password[^:]*:\s*?$", "Vault password: "),
    "--ask-vault-pass": (r"Vault password[^:]*:\s*?$", "Vault password: "),
}
"""Options of ansible-playbook that ask for a password: nimctl asks, and answers Ansible's question."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a command of Ansible ended; ``code`` is its own exit code, or 130 after Ctrl-C."""

    code: int
    interrupted: bool


def ansible(
    words: Sequence[str],
    *,
    handler: Callable[[Event], None],
    on_interrupt: Callable[[int], None] = lambda count: None,
    folder: Path | None = None,
) -> Result:
    """Run one of Ansible's commands, e.g. ``["ansible-playbook", "site.yml", "-i", "inventories/prod"]``.

    Args:
        words: the command line; the command is taken from nimctl's own environment.
        handler: gets every event as it comes.
        on_interrupt: told of each Ctrl-C or SIGTERM, with how many there were. The first one is passed on to
            Ansible, which stops what it is doing and ends; the second kills it.
        folder: where Ansible runs, which also decides which ansible.cfg it reads (default: here).

    Raises:
        NimctlError: Ansible could not be started.
    """
    # Slow to import, and most verbs never start Ansible.
    from nimctl.run.command import AnsibleRunnerException, Command, Runner

    folder = folder or Path.cwd()
    added = collection.environment(collection.find(), folder=folder)
    environment = added | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_DEPRECATION_WARNINGS": "False"}
    command = [str(collection.executable(words[0])), *words[1:]]
    with _private_folder() as private:
        config = Command(private, command, environment, folder, _passwords(words))

        def on_event(report: dict[str, Any]) -> bool:
            event = read(report)
            if event is not None:
                handler(event)
            return False  # the runner keeps no file per event

        try:
            config.prepare()
            interrupts = _Interrupts(private / "pid", on_interrupt)
            _offer(private / "environment", json.dumps(config.process_environment))
            runner = Runner(config, event_handler=on_event, cancel_callback=interrupts.kill_wanted)
            with interrupts:
                _, code = runner.run()
        except (AnsibleRunnerException, OSError) as error:
            raise NimctlError(f"{words[0]} could not be run: {error}") from error
    if interrupts.count:
        return Result(INTERRUPTED, True)
    return Result(code if isinstance(code, int) else 1, False)


class _Interrupts:
    """Passes SIGINT and SIGTERM on to Ansible, as SIGINT: it ends its workers and itself in order."""

    def __init__(self, pid_file: Path, tell: Callable[[int], None]) -> None:
        self.count = 0
        self._pid_file = pid_file
        self._tell = tell
        self._passed_on_at: float | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> _Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        self._tell(self.count)
        self._pass_on()

    def kill_wanted(self) -> bool:
        """Asked by the runner about twice a second: kill Ansible now?"""
        if self.count and self._is_due():
            self._pass_on()
        return self.count > 1

    def _is_due(self) -> bool:
        # Ansible can lose a signal that meets it while it starts, so it is told again, but not in a hurry.
        return self._passed_on_at is None or time.monotonic() - self._passed_on_at > AGAIN_SECONDS

    def _pass_on(self) -> None:
        # Until the launcher has written its process id there is nobody to tell; kill_wanted tries again.
        try:
            os.kill(int(self._pid_file.read_text()), signal.SIGINT)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return
        self._passed_on_at = time.monotonic()


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A 0700 folder for what ansible-runner must write, in memory where there is a place; removed after."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path(runtime)] if runtime else []
    places += [Path("/dev/shm")]  # noqa: S108 - the folder itself is made unique and private
    parent = next((str(place) for place in places if os.access(place, os.W_OK | os.X_OK)), None)
    path = Path(tempfile.mkdtemp(prefix="nimctl-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def _offer(pipe: Path, text: str) -> None:
    os.mkfifo(pipe, 0o600)
    # A daemon: should the reader never come, the process must still be able to end.
    threading.Thread(target=pipe.write_text, args=(text,), kwargs={"encoding": "utf-8"}, daemon=True).start()


def _passwords(words: Sequence[str]) -> dict[str, str]:
    """Ask for the passwords that Ansible will ask for, because it has no terminal of its own here."""
    wanted = dict(PROMPTS[word] for word in words if word in PROMPTS)
    return {pattern: getpass.getpass(question) for pattern, question in wanted.items()}
