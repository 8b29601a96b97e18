"""What belongs into a lock: what is missing is added, what stands there moves only when asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nimctl import fabrics
from nimctl.cluster import Cluster
from nimctl.contracts import Contract, load_contracts
from nimctl.description import load, locate
from nimctl.errors import DescriptionError, RejectedError
from nimctl.image import is_digest, parse
from nimctl.inventory import folder_of
from nimctl.lock import Lock, ReplicaSeats, Seat, read_lock, write_lock
from nimctl.placement import Placement, Rank
from nimctl.resolve import PlacementError, resolve
from nimctl.resolve.ports import SUPERVISOR
from nimctl.stack import versions
from nimctl.stack.locking import LOCKED_LAYERS, meaning, moved

PARTS = ("images", "placement", "stack", "nodes")
"""What of a lock may move as a whole."""
Lookup = Callable[[Cluster, str], str]
"""Finds the digest of an image reference."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry that differs: ``before`` is None for a new one, ``after`` for one that goes.

    ``means`` says what the next run will do about it on the nodes.
    """

    what: str
    before: str | None
    after: str | None
    means: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.what}: {self.after}"
        if self.after is None:
            return f"- {self.what}: {self.before}"
        return "\n".join([f"~ {self.what}: {self.before} -> {self.after}", *(f"    {m}" for m in self.means)])


@dataclass(frozen=True, slots=True)
class Plan:
    """A lock as it is and as it would be; ``unknown`` are images whose digest was not looked up."""

    folder: Path
    before: Lock
    after: Lock
    changes: tuple[Change, ...]
    placement: Placement
    unknown: tuple[str, ...] = ()

    def write(self) -> bool:
        """Write the lock; returns whether the file changed."""
        return write_lock(self.folder, self.after)


def plan(
    path: Path,
    lookup: Lookup | None,
    *,
    upgrade: frozenset[str] = frozenset(),
    given: Mapping[str, str] | None = None,
) -> Plan:
    """Work out the lock of a description.

    ``upgrade`` names what may move: ``PARTS``, layers of the stack, or deployments. What was found on nodes
    moves by being forgotten: the next run looks again.
    ``lookup`` None asks no registry and leaves images out whose digest is not known. ``given`` are digests
    that a person states.
    Raises DescriptionError, RejectedError, and what ``lookup`` raises.
    """
    cluster = load(path)
    folder = folder_of(path)
    contracts = load_contracts(folder)
    before = read_lock(folder) or Lock()
    _check(cluster, upgrade, given or {})
    kept = _without(cluster, before, upgrade)
    placement = _place(cluster, kept, contracts)
    images, unknown = _images(cluster, kept, lookup, given or {})
    layers = frozenset(LOCKED_LAYERS) if "stack" in upgrade else upgrade
    stack = moved(cluster, before.stack, layers, versions.load(folder))
    after = Lock(images, seats_of(placement), stack, kept.nodes, placement.planned)
    changes = (
        *differences(before, after),
        *_planned_differences(before, after),
        *_stack_differences(placement, before, after),
        *_node_differences(before, after),
    )
    return Plan(folder, before, after, changes, placement, tuple(unknown))


def _place(cluster: Cluster, lock: Lock, contracts: Mapping[str, Contract]) -> Placement:
    try:
        return resolve(cluster, lock, contracts)
    except PlacementError as error:
        raise locate(cluster, error.problems) from error


def _check(cluster: Cluster, upgrade: frozenset[str], given: Mapping[str, str]) -> None:
    known = {deployment.name for deployment in cluster.deployments}
    for what in sorted(upgrade - known - {*PARTS, *LOCKED_LAYERS}):
        choices = ", ".join([*PARTS, *LOCKED_LAYERS, *sorted(known)])
        raise RejectedError(f"--upgrade {what}: expected one of {choices}")
    references = {deployment.image for deployment in cluster.deployments}
    for reference, digest in given.items():
        if reference not in references:
            raise RejectedError(
                f"--image {reference}: no deployment has this image; they have "
                f"{', '.join(sorted(references))}"
            )
        if not is_digest(digest):
            raise RejectedError(f"--image {reference}={digest}: expected sha256: and 64 hexadecimal digits")


def _without(cluster: Cluster, lock: Lock, upgrade: frozenset[str]) -> Lock:
    """The lock without what may move."""
    moving = {d.image for d in cluster.deployments if "images" in upgrade or d.name in upgrade}
    images = {reference: digest for reference, digest in lock.images.items() if reference not in moving}
    placement = {
        name: replicas
        for name, replicas in lock.placement.items()
        if name not in upgrade and "placement" not in upgrade
    }
    nodes = {} if "nodes" in upgrade else fabrics.kept(cluster, lock.nodes)
    planned = {
        name: split
        for name, split in lock.planned.items()
        if name not in upgrade and "placement" not in upgrade
    }
    return Lock(images, placement, lock.stack, nodes, planned)


def _planned_differences(before: Lock, after: Lock) -> list[Change]:
    """Which splits were filled in, or are no longer."""
    changes = []
    for name in sorted(before.planned.keys() | after.planned.keys()):
        was, now = before.planned.get(name), after.planned.get(name)
        if was != now:
            changes.append(Change(f"split of {name}", str(was) if was else None, str(now) if now else None))
    return changes


def _node_differences(before: Lock, after: Lock) -> list[Change]:
    """Which findings go; new ones come from runs."""
    return [
        Change(f"node {name}", str(was), str(after.nodes[name]) if name in after.nodes else None)
        for name, was in sorted(before.nodes.items())
        if after.nodes.get(name) != was
    ]


def _stack_differences(placement: Placement, before: Lock, after: Lock) -> list[Change]:
    """What changes among the versions of the host stack, and what that means for the nodes."""
    with_ranks = frozenset(rank.node for rank in placement.ranks)
    changes = []
    for layer in LOCKED_LAYERS:
        was, now = (lock.stack.get(layer, {}).get("version") for lock in (before, after))
        if was != now:
            means = meaning(placement.cluster, with_ranks, layer, was, now)
            changes.append(Change(f"stack {layer}", was, now, tuple(means)))
    return changes


def _images(
    cluster: Cluster, kept: Lock, lookup: Lookup | None, given: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    images: dict[str, str] = {}
    unknown: list[str] = []
    for reference in sorted({deployment.image for deployment in cluster.deployments}):
        if parse(reference).digest:
            continue
        digest = given.get(reference) or kept.images.get(reference)
        if digest is None and lookup is not None:
            digest = lookup(cluster, reference)
        if digest is None:
            unknown.append(reference)
        else:
            images[reference] = digest
    return images, unknown


def seats_of(placement: Placement) -> dict[str, tuple[ReplicaSeats, ...]]:
    """The seats and internal ports of a placement, as a lock holds them."""
    replicas: dict[str, dict[int, list[Rank]]] = defaultdict(lambda: defaultdict(list))
    for rank in placement.ranks:
        replicas[rank.deployment][rank.replica].append(rank)
    return {
        name: tuple(
            _seats(sorted(ranks, key=lambda rank: rank.rank)) for _, ranks in sorted(numbered.items())
        )
        for name, numbered in replicas.items()
    }


def _seats(ranks: list[Rank]) -> ReplicaSeats:
    ports: dict[str, int] = {}
    for rank in ranks:
        ports.update({name: port for name, port in rank.ports.items() if name != "api"})
        if rank.supervision and rank.supervision.port:
            ports[SUPERVISOR] = rank.supervision.port
    return ReplicaSeats(tuple(Seat(rank.node, rank.gpus) for rank in ranks), ports)


def differences(before: Lock, after: Lock) -> list[Change]:
    """What changes from one lock to another, image by image and replica by replica."""
    changes = []
    for reference in sorted(before.images.keys() | after.images.keys()):
        old, new = before.images.get(reference), after.images.get(reference)
        if old != new:
            changes.append(Change(f"image {reference}", old, new))
    for name in sorted(before.placement.keys() | after.placement.keys()):
        old_replicas, new_replicas = before.placement.get(name, ()), after.placement.get(name, ())
        for number in range(max(len(old_replicas), len(new_replicas))):
            was = describe(old_replicas[number]) if number < len(old_replicas) else None
            now = describe(new_replicas[number]) if number < len(new_replicas) else None
            if was != now:
                changes.append(Change(f"deployment {name}, replica {number}", was, now))
    return changes


def describe(replica: ReplicaSeats) -> str:
    """``gpu01 (GPUs 0-7), gpu02 (GPUs 0-7); rendezvous 50000``."""
    seats = ", ".join(
        f"{seat.node} ({_gpus(seat.gpus)})" if seat.gpus else seat.node for seat in replica.seats
    )
    ports = ", ".join(f"{name} {port}" for name, port in sorted(replica.ports.items()))
    return f"{seats}; {ports}" if ports else seats


def _gpus(numbers: tuple[int, ...]) -> str:
    """``GPU 3``, ``GPUs 0-3``, ``GPUs 0, 2``."""
    if len(numbers) == 1:
        return f"GPU {numbers[0]}"
    if numbers == tuple(range(numbers[0], numbers[-1] + 1)):
        return f"GPUs {numbers[0]}-{numbers[-1]}"
    return f"GPUs {', '.join(map(str, numbers))}"


__all__ = [
    "PARTS",
    "Change",
    "DescriptionError",
    "Lookup",
    "Plan",
    "describe",
    "differences",
    "plan",
    "seats_of",
]
