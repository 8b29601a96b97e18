"""One command of Ansible as ansible-runner is to start it, with nothing secret of it on any disk."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ansible_runner import Runner, RunnerConfig
from ansible_runner.exceptions import AnsibleRunnerException

__all__ = ["AnsibleRunnerException", "Command", "Runner"]

LAUNCHER = Path(__file__).with_name("launch.py")


class Command(RunnerConfig):  # type: ignore[misc]
    """Settings of one run: our own command line, the user's folder, and no environment on disk."""

    def __init__(
        self,
        private: Path,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        passwords: Mapping[str, str],
    ) -> None:
        super().__init__(
            private_data_dir=str(private),
            ident="run",
            quiet=True,
            suppress_env_files=True,
            fact_cache_type="memory",
            envvars=dict(environment),
            passwords=dict(passwords),
        )
        self._private = private
        self._words = list(command)
        self._folder = folder
        self.env: dict[str, str] = {}
        self.process_environment: dict[str, str] = {}

    def prepare_env(self) -> None:
        """Let ansible-runner compose the environment, then keep it for the pipe alone."""
        super().prepare_env()
        if (
            "ANSIBLE_HOST_KEY_CHECKING" not in (self.envvars or {})
            and "ANSIBLE_HOST_KEY_CHECKING" not in os.environ
        ):
            # ansible-runner turns host key checking off where the variable is not set, against ansible.cfg.
            self.env.pop("ANSIBLE_HOST_KEY_CHECKING", None)
        self.process_environment = dict(self.env)
        self.env = {"PATH": os.environ.get("PATH", os.defpath)}
        self.cwd = str(self._folder)
        self.pexpect_timeout = 0.5
        self.suppress_output_file = True

    def prepare_command(self) -> None:
        """Start our launcher, which becomes the command once it has the environment."""
        pipe, pid = self._private / "environment", self._private / "pid"
        self.command = [sys.executable, "-I", "-S", str(LAUNCHER), str(pipe), str(pid), *self._words]
        self.execution_mode = 3  # raw: the command is complete
