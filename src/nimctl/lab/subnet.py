"""The lab's network: which addresses it takes, and which node gets which."""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nimctl.errors import NimctlError, RejectedError

Network = ipaddress.IPv4Network
_POOL = ipaddress.IPv4Network("10.89.64.0/18")
_FIRST_NODE = 10


@dataclass(frozen=True, slots=True)
class Plan:
    """The addresses of one lab: .1 is the machine, .2 the registry, .11 to .18 the nodes."""

    network: Network

    @property
    def gateway(self) -> str:
        """The machine that the lab runs on, as the nodes see it."""
        return str(self.network[1])

    @property
    def registry(self) -> str:
        """The registry."""
        return str(self.network[2])

    def node(self, name: str) -> str:
        """The address of ``nodeN``."""
        return str(self.network[_FIRST_NODE + int(name.removeprefix("node"))])


def mac(address: str) -> str:
    """A hardware address that follows from the IPv4 address.

    Fixed, because peers keep the address of a node in their neighbour tables while it restarts.
    """
    return "02:00:" + ":".join(f"{byte:02x}" for byte in ipaddress.IPv4Address(address).packed)


def parse(text: str) -> Network:
    """A network given by a person.

    Raises:
        RejectedError: no IPv4 network, or too small for a lab.
    """
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError as error:
        raise RejectedError(f"--subnet {text}: {error}. Write it like 10.89.70.0/24.") from error
    if network.num_addresses < 32:
        raise RejectedError(f"--subnet {text}: too small, a lab needs at least a /27.")
    return network


def candidates(lab: str, taken: Iterable[Network]) -> Iterator[Network]:
    """Free /24 networks for a lab, beginning at one that depends on its name only.

    So a lab that goes and comes back has the addresses it had, as long as nobody else took them.
    """
    pool = list(_POOL.subnets(new_prefix=24))
    first = zlib.crc32(lab.encode()) % len(pool)
    used = list(taken)
    for network in pool[first:] + pool[:first]:
        if not any(network.overlaps(other) for other in used):
            yield network


def choose(lab: str, taken: Iterable[Network]) -> Network:
    """The network that a new lab takes.

    Raises:
        NimctlError: the whole pool is taken.
    """
    for network in candidates(lab, taken):
        return network
    raise NimctlError(f"No free /24 in {_POOL} is left for the lab. Choose a network with --subnet CIDR.")
