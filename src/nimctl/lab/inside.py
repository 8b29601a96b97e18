"""What exists of a lab, as the engine knows it. Nothing about a lab is remembered elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from nimctl.lab.containers import Container, Containers
from nimctl.lab.names import LABEL, Names

ROLE = f"{LABEL}.role"
NODE = f"{LABEL}.node"
SPEC = f"{LABEL}.spec"
ADDRESS = f"{LABEL}.address"
ENGINE = f"{LABEL}.engine"
GPUS = f"{LABEL}.gpus"
DRIVER = f"{LABEL}.driver"
INVENTORY = f"{LABEL}.inventory"


@dataclass(frozen=True, slots=True)
class Inside:
    """The parts of a lab that exist.

    Attributes:
        nodes: Containers of nodes, by the node's name.
        registry: The registry's container.
        subnet: The range of the lab's network.
        inventory: The inventory folder that the lab was started with.
        leftovers: Names of other containers with the lab's label: builds that were interrupted.
    """

    nodes: Mapping[str, Container]
    registry: Container | None
    subnet: IPv4Network | None
    inventory: str | None
    leftovers: tuple[str, ...]

    def address(self, node: str) -> str:
        """The address of a node."""
        return self.nodes[node].labels[ADDRESS]

    @property
    def driver(self) -> str:
        """What the nodes are: ``container`` or ``vm``."""
        return driver_of(next(iter(self.nodes.values()), None))


def driver_of(container: Container | None) -> str:
    """Whether a node is a ``container`` itself or runs a virtual machine, ``vm``."""
    return container.labels.get(DRIVER, "container") if container else "container"


def look(engine: Containers, names: Names) -> Inside:
    """See what exists of a lab."""
    nodes: dict[str, Container] = {}
    registry, leftovers = None, []
    for container in engine.containers(names.label).values():
        role = container.labels.get(ROLE)
        if role == "node":
            nodes[container.labels[NODE]] = container
        elif role == "registry":
            registry = container
        else:
            leftovers.append(container.name)
    network = engine.networks().get(names.network)
    return Inside(
        nodes=dict(sorted(nodes.items())),
        registry=registry,
        subnet=network.subnet if network else None,
        inventory=network.labels.get(INVENTORY) if network else None,
        leftovers=tuple(sorted(leftovers)),
    )


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to happen to containers so that they are as wanted; each a list of names."""

    keep: tuple[str, ...]
    start: tuple[str, ...]
    make: tuple[str, ...]
    replace: tuple[str, ...]
    remove: tuple[str, ...]

    @property
    def none(self) -> bool:
        """Whether all is as wanted."""
        return not (self.start or self.make or self.replace or self.remove)


def compare(wanted: Mapping[str, str], existing: Mapping[str, Container]) -> Changes:
    """Compare wanted containers, by name with the fingerprint of their definition, with the existing ones.

    A container that was created but never started was cut short while it was made: it is made again.
    """
    keep, start, make, replace = [], [], [], []
    for name, spec in wanted.items():
        container = existing.get(name)
        if container is None:
            make.append(name)
        elif container.labels.get(SPEC) != spec or container.state in (
            "created",
            "configured",
            "initialized",
        ):
            replace.append(name)
        elif container.running:
            keep.append(name)
        else:
            start.append(name)
    remove = sorted(set(existing) - set(wanted))
    return Changes(tuple(keep), tuple(start), tuple(make), tuple(replace), tuple(remove))
