"""Going into a node of a lab."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from nimctl.errors import RejectedError
from nimctl.lab import inside, vm
from nimctl.lab.status import existing


def argv(name: str, node: str, command: Sequence[str], terminal: bool) -> list[str]:
    """The command that runs a command, or a shell, as root on a node.

    Goes through the container engine, not through SSH: a node whose network is cut can be entered, too. A
    virtual machine has no such door.

    Raises:
        RejectedError: there is no such node, or it does not run.
    """
    field = existing(name)
    engine, lab = field.engine, field.lab
    container = lab.registry if node == "registry" else lab.nodes.get(node)
    if container is None:
        raise RejectedError(f"Lab {name} has no node {node}: {', '.join([*lab.nodes, 'registry'])}.")
    if not container.running:
        raise RejectedError(
            f"{node} does not run ({container.state}). `nimctl lab heal --name {name}` starts it."
        )
    if inside.driver_of(container) == "vm":
        folder = Path(lab.inventory or "") / ".lab"
        entry = vm.ssh(folder, container.labels[inside.ADDRESS])
        return [*entry[:1], *(["-t"] if terminal else []), *entry[1:], *map(shlex.quote, command)]
    words = list(command) or (["/bin/sh"] if node == "registry" else ["/bin/bash", "-l"])
    return [
        *engine.command,
        "exec",
        "--interactive",
        *(["--tty"] if terminal else []),
        container.name,
        *words,
    ]
