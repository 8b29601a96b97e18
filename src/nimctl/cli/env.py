"""``nimctl env``: what plain Ansible needs to behave exactly as under nimctl."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import Annotated

import typer

from nimctl.cli.app import print_json
from nimctl.errors import RejectedError
from nimctl.run import collection


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command()(env)


def env(
    output: Annotated[str, typer.Option("--format", help="sh (export lines) or json.")] = "sh",
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND]", help="After --: a command to run in that environment."),
    ] = None,
) -> None:
    """Print what plain ansible-playbook needs, or run a command with it.

    eval "$(nimctl env)" and then: ansible-playbook nimctl.multinode.site -i inventories/prod (in a clone also
    ansible-playbook site.yml). What you have set yourself, in the environment or in your ansible.cfg, is left
    alone.
    """
    if output not in ("sh", "json"):
        raise RejectedError(f"--format {output} is not known; it is sh or json")
    added = collection.environment(collection.find())
    if command:
        _become(command, os.environ | added)
    if output == "json":
        print_json(added)
        return
    for name, value in added.items():
        if name == "PATH":
            typer.echo(f'export PATH={shlex.quote(str(collection.scripts_folder()))}:"$PATH"')
        else:
            typer.echo(f"export {name}={shlex.quote(value)}")


def _become(command: list[str], environment: dict[str, str]) -> None:
    path = shutil.which(command[0], path=environment.get("PATH"))
    if path is None:
        raise RejectedError(f"{command[0]} was not found on PATH, nor in {collection.scripts_folder()}")
    os.execve(path, command, environment)  # noqa: S606 - running the user's command is the purpose
