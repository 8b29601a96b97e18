"""How a lab is: its nodes, their addresses, whether SSH answers, and which faults are in force."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from nimctl.errors import RejectedError
from nimctl.lab import inside
from nimctl.lab.containers import Container, detect
from nimctl.lab.faults import Field
from nimctl.lab.images import cache_folder
from nimctl.lab.names import Names


@dataclass(frozen=True, slots=True)
class Row:
    """One node or the registry."""

    name: str
    address: str
    state: str
    ssh: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Status:
    """A whole lab."""

    name: str
    engine: str
    subnet: str
    inventory: str
    rows: tuple[Row, ...]

    def as_json(self) -> dict[str, object]:
        """The documented JSON shape."""
        return {
            "name": self.name,
            "engine": self.engine,
            "subnet": self.subnet,
            "inventory": self.inventory,
            "nodes": [
                {
                    "name": row.name,
                    "address": row.address,
                    "state": row.state,
                    "ssh": row.ssh,
                    "faults": list(row.faults),
                }
                for row in self.rows
            ],
        }


def existing(name: str) -> Field:
    """A lab that is there, and how to reach into it.

    Raises:
        RejectedError: there is none of that name.
    """
    names = Names(name)
    engine = detect(cache_folder() / "tmp" / name)
    lab = inside.look(engine, names)
    if not lab.nodes:
        raise RejectedError(f"There is no lab {name}. `nimctl lab up --name {name}` starts one.")
    return Field(engine, names, lab)


def status(name: str) -> Status:
    """Look at a lab.

    Raises:
        RejectedError: there is no such lab.
    """
    field = existing(name)
    engine, lab = field.engine, field.lab
    faults = field.in_force()
    with ThreadPoolExecutor(max_workers=8) as pool:
        rows = list(pool.map(lambda item: _row(item[0], item[1], faults[item[0]]), lab.nodes.items()))
    if lab.registry:
        address = lab.registry.labels[inside.ADDRESS]
        rows.append(Row("registry", address, lab.registry.state, "-", ()))
    return Status(name, engine.kind, str(lab.subnet), lab.inventory or "", tuple(rows))


def _row(node: str, container: Container, faults: tuple[str, ...]) -> Row:
    address = container.labels[inside.ADDRESS]
    return Row(node, address, container.state, ssh_state(address) if container.running else "-", faults)


def ssh_state(address: str) -> str:
    """``ok`` where a node's SSH server answers, else why not."""
    try:
        with socket.create_connection((address, 22), timeout=2) as connection:
            return "ok" if connection.recv(16).startswith(b"SSH-") else "no SSH on port 22"
    except OSError as error:
        return error.strerror or str(error)
