"""Labs for the end-to-end tests, driven by the command as a user has it: from a clone or from the wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installation:
    """One way to have nimctl: where its commands lie and from which folder they are called."""

    name: str
    bin: Path
    folder: Path
    site: str

    def run(
        self, *command: str | Path, check: bool = True, timeout: int = 600, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Call a command of this installation; with check, fail with its whole output."""
        environment = {
            key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PYTHONPATH")
        }
        done = subprocess.run(
            [str(self.bin / str(command[0])), *map(str, command[1:])],
            cwd=self.folder,
            env=environment | {"COLUMNS": "150"},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            input=stdin,
        )
        if check and done.returncode:
            pytest.fail(
                f"{command}: exit code {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
            )
        return done

    def nimctl(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Call nimctl."""
        return self.run("nimctl", *arguments, check=check)

    def nimctl_json(self, *arguments: str | Path) -> Any:
        """Call nimctl with --format json and read what it answers."""
        return json.loads(self.nimctl(*arguments, "--format", "json").stdout)

    def playbook(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Call plain ansible-playbook the way the documentation says."""
        if self.name == "clone":
            return self.run("ansible-playbook", *arguments, check=check)
        return self.run("nimctl", "env", "--", "ansible-playbook", *arguments, check=check)


@dataclass(frozen=True)
class Lab:
    """A lab that is up, and the inventory folder that describes it."""

    installation: Installation
    name: str
    inventory: Path

    def sh(self, node: str, script: str, stdin: str = "") -> str:
        """Run a shell script as root on a node; its standard output. Secrets go to its standard input."""
        command = ("nimctl", "lab", "shell", "--name", self.name, node, "--", "sh", "-c", script)
        return self.installation.run(*command, stdin=stdin).stdout


def clone() -> Installation:
    """The clone that this test is in."""
    return Installation("clone", ROOT / ".venv" / "bin", ROOT, "site.yml")


def wheel(folder: Path) -> Installation:
    """A wheel built from this clone, alone in a virtual environment elsewhere."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "build", "-q", "--wheel", "-o", str(folder / "dist"), str(ROOT)], check=True)
    (built,) = (folder / "dist").glob("*.whl")
    subprocess.run([*uv, "venv", "-q", "--python", sys.executable, str(folder / "venv")], check=True)
    python = str(folder / "venv" / "bin" / "python")
    subprocess.run([*uv, "pip", "install", "-q", "--python", python, str(built)], check=True)
    home = folder / "elsewhere"
    home.mkdir()
    return Installation("wheel", folder / "venv" / "bin", home, "nimctl.multinode.site")


def start_lab(installation: Installation, folder: Path, *options: str) -> Iterator[Lab]:
    """Bring a lab up under a name of its own and take it down whatever happens."""
    name = f"e2e-{uuid.uuid4().hex[:6]}"
    inventory = folder / name
    try:
        installation.nimctl("lab", "up", "--name", name, "--inventory", inventory, *options)
        yield Lab(installation, name, inventory)
    finally:
        installation.nimctl("lab", "down", "--name", name, "--inventory", inventory)
        shutil.rmtree(inventory, ignore_errors=True)
