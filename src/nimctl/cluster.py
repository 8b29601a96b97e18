"""What a description says, validated and with its node sets expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nimctl.errors import Field

if TYPE_CHECKING:
    from nimctl.description.document import (
        Connection,
        Deployment,
        Kubernetes,
        SecretSource,
        Slurm,
        Stack,
        Storage,
    )
    from nimctl.description.hardware import GpuModel


@dataclass(frozen=True, slots=True)
class NodeFabric:
    """How one node is attached to the fabric."""

    kind: str
    rate: str
    ports: int
    interface: str | None
    address: str | None
    hcas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """One machine.

    ``address`` is where Ansible and clients reach it; ``rank_address`` is where ranks reach it: its
    address on the fabric where it has one.
    """

    name: str
    address: str
    gpu_model: str | None
    gpu_count: int
    fabric: NodeFabric | None
    absent: bool
    entry: int

    @property
    def rank_address(self) -> str:
        """The address on which other ranks reach this node."""
        return self.fabric.address if self.fabric and self.fabric.address else self.address


@dataclass(frozen=True, slots=True)
class Cluster:
    """One validated description.

    ``positions`` maps each field to its (line, column), counted from 1; ``gpu_models`` has the rows of the
    GPU table that the nodes name. ``kubernetes`` and ``slurm`` are for the files that are rendered.
    """

    name: str
    connection: Connection
    stack: Stack
    nodes: tuple[Node, ...]
    storage: tuple[Storage, ...]
    deployments: tuple[Deployment, ...]
    secrets: Mapping[str, SecretSource]
    file: Path | None = None
    positions: Mapping[Field, tuple[int, int]] = field(default_factory=dict)
    gpu_models: Mapping[str, GpuModel] = field(default_factory=dict)
    kubernetes: Kubernetes | None = None
    slurm: Slurm | None = None
