"""Where every rank sits: which node, which GPUs.

What the lock says and what a deployment names come first, in the order of the file; then the others are
placed, each on the first nodes that have room. The result depends on the description and the lock alone.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nimctl.cluster import Node
from nimctl.errors import Problem
from nimctl.lock import Lock, ReplicaSeats, Seat
from nimctl.resolve.request import Kind, Request, kind_of
from nimctl.resolve.shape import Shape
from nimctl.suggest import command


@dataclass(slots=True)
class Occupancy:
    """Who uses which GPU and API port of each node, by deployment name, and how many ranks a node has."""

    gpus: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    endpoints: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    ranks: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def free(self, node: Node) -> list[int]:
        """GPUs of a node that nobody uses."""
        used = self.gpus.get(node.name)
        return (
            [gpu for gpu in range(node.gpu_count) if gpu not in used] if used else list(range(node.gpu_count))
        )

    def take(self, request: Request, seats: Sequence[Seat]) -> list[str]:
        """Sit a replica down; returns who sat there before, one text for each conflict."""
        conflicts = []
        name = request.deployment.name
        for seat in seats:
            used = self.gpus[seat.node]
            taken = {gpu: used[gpu] for gpu in seat.gpus if gpu in used}
            for other in dict.fromkeys(taken.values()):
                which = [gpu for gpu in taken if taken[gpu] == other]
                conflicts.append(
                    f"{_gpus(which)} of {seat.node} {'is' if len(which) == 1 else 'are'} used by {other}"
                )
            used.update(dict.fromkeys(seat.gpus, name))
            self.ranks[seat.node] += 1
        self.endpoints[seats[0].node].setdefault(request.deployment.port, name)
        return conflicts


def _gpus(numbers: Sequence[int]) -> str:
    return f"GPU {numbers[0]}" if len(numbers) == 1 else f"GPUs {_all(map(str, numbers))}"


def _all(names: Iterable[str], limit: int = 4) -> str:
    """``a, b and c``; of many names the first ones and how many more there are."""
    found = list(names)
    if len(found) > limit:
        return f"{', '.join(found[:limit])} and {len(found) - limit} more"
    return f"{', '.join(found[:-1])} and {found[-1]}" if len(found) > 1 else "".join(found)


@dataclass(slots=True)
class Seating:
    """The result: for each deployment its replicas' seats, with what was found wrong and worth a remark."""

    seats: dict[int, list[tuple[Shape, tuple[Seat, ...]]]]
    problems: list[Problem]
    notes: list[str]


def seat(
    requests: Sequence[Request],
    free: Sequence[Node],
    by_name: Mapping[str, Node],
    lock: Lock,
    folder: Path | None = None,
) -> Seating:
    """Place every replica of every deployment; ``folder`` of the description is for messages."""
    return _Placer(requests, free, by_name, lock, folder).run()


class _Placer:
    def __init__(
        self,
        requests: Sequence[Request],
        free: Sequence[Node],
        by_name: Mapping[str, Node],
        lock: Lock,
        folder: Path | None,
    ) -> None:
        self.folder = folder
        self.requests = requests
        self.by_name = by_name
        self.lock = lock
        self.occupied = Occupancy()
        self.result = Seating({}, [], [])
        self.by_kind: dict[Kind, list[Node]] = defaultdict(list)
        for node in free:
            self.by_kind[kind_of(node)].append(node)
        self.all_of_kind = {kind: list(nodes) for kind, nodes in self.by_kind.items()}
        self.found: dict[tuple[int, int], tuple[Shape, tuple[Seat, ...]]] = {}

    def run(self) -> Seating:
        broken = {request.index for request in self.requests if self._locked_seats(request)}
        requests = [request for request in self.requests if request.index not in broken]
        for request in requests:
            if request.hosts is not None:
                self._whole_hosts(request)
        for request in requests:
            if request.hosts is not None:
                self._part_of_hosts(request)
        for request in requests:
            if request.hosts is None:
                self._anywhere(request)
        for request in requests:
            replicas = [self.found.get((request.index, i)) for i in range(request.deployment.replicas)]
            complete = [replica for replica in replicas if replica is not None]
            if len(complete) == len(replicas):
                self.result.seats[request.index] = complete
        return self.result

    def _take(self, request: Request, replica: int, shape: Shape, seats: tuple[Seat, ...]) -> None:
        conflicts = self.occupied.take(request, seats)
        self.found[request.index, replica] = (shape, seats)
        if conflicts:
            where = "gpus" if request.deployment.gpus is not None else "hosts"
            self.result.problems.append(
                request.problem(f"{'; '.join(conflicts[:4])}; name other nodes or GPUs", where)
            )

    def _nodes_of(self, request: Request, replica: int) -> tuple[Node, ...]:
        assert request.hosts is not None
        size = len(request.hosts) // request.deployment.replicas
        return request.hosts[replica * size : (replica + 1) * size]

    def _locked_seats(self, request: Request) -> bool:
        """Take what the lock says where it fits the description; True when the lock cannot be followed."""
        replicas = self.lock.placement.get(request.deployment.name, ())
        usable: list[tuple[int, Shape, tuple[Seat, ...]]] = []
        for number, locked in enumerate(replicas[: request.deployment.replicas]):
            gone = self._gone(request, locked)
            if gone:
                anew = command(self.folder, "lock", "--upgrade", "placement")
                self.result.problems.append(
                    request.problem(
                        f"replica {number} is locked to {gone}; `{anew}` places anew "
                        f"(with `--upgrade {request.deployment.name}`: this deployment alone, and its image)"
                    )
                )
                return True
            shape = self._fits(request, number, locked)
            if shape is None:
                self.result.notes.append(
                    f"deployment {request.deployment.name}: replica {number} no longer fits its place in the "
                    "lock, because the description changed; it is placed anew"
                )
                continue
            usable.append((number, shape, locked.seats))
        for number, shape, seats in usable:
            self._take(request, number, shape, seats)
        return False

    def _gone(self, request: Request, locked: ReplicaSeats) -> str:
        """Why a locked place is there no more, for a deployment that does not name its hosts itself."""
        if request.hosts is not None:
            return ""
        for place in locked.seats:
            node = self.by_name.get(place.node)
            if node is None:
                return f"{place.node}, which is no node of this cluster any more"
            if node.absent:
                return f"{place.node}, which is leaving (`state: absent`)"
            if place.gpus and max(place.gpus) >= node.gpu_count:
                return f"{_gpus([max(place.gpus)])} of {place.node}, which has {node.gpu_count}"
        return ""

    def _fits(self, request: Request, number: int, locked: ReplicaSeats) -> Shape | None:
        """The shape in which a locked place still is what the description asks for."""
        first = self.by_name.get(locked.seats[0].node)
        shape = request.shapes.get(kind_of(first)) if first else None
        if first is None or shape is None or len(locked.seats) != shape.nodes:
            return None
        wanted = tuple(request.deployment.gpus) if request.deployment.gpus is not None else None
        nodes = self._nodes_of(request, number) if request.hosts is not None else None
        for position, place in enumerate(locked.seats):
            node = self.by_name.get(place.node)
            if node is None or (nodes is not None and nodes[position].name != place.node):
                return None
            if len(place.gpus) != (shape.gpus if node.gpu_count else 0):
                return None
            if wanted is not None and place.gpus != wanted:
                return None
        return shape

    def _whole_hosts(self, request: Request) -> None:
        """Replicas whose nodes and GPUs are both given: by `gpus`, or because they use all of a node."""
        gpus = request.deployment.gpus
        for number in self._missing(request):
            nodes = self._nodes_of(request, number)
            shape = next(iter(request.shapes.values()))
            if gpus is not None:
                chosen = tuple(gpus)
            elif not nodes[0].gpu_count or shape.gpus == nodes[0].gpu_count:
                chosen = tuple(range(nodes[0].gpu_count))
            else:
                continue
            self._take(request, number, shape, tuple(Seat(node.name, chosen) for node in nodes))

    def _part_of_hosts(self, request: Request) -> None:
        """Replicas that take the first free GPUs of nodes that are given."""
        for number in self._missing(request):
            shape = next(iter(request.shapes.values()))
            seats = []
            for node in self._nodes_of(request, number):
                free = self.occupied.free(node)
                if len(free) < shape.gpus:
                    users = _all(sorted(set(self.occupied.gpus[node.name].values())))
                    left = (
                        f"of its {node.gpu_count} GPUs {len(free)} are free, the others are used by {users}"
                    )
                    self.result.problems.append(
                        request.problem(f"needs {shape.gpus} GPUs of {node.name}, but {left}", "hosts")
                    )
                    return
                seats.append(Seat(node.name, tuple(free[: shape.gpus])))
            self._take(request, number, shape, tuple(seats))

    def _anywhere(self, request: Request) -> None:
        """Place what names no nodes: each replica on nodes of one kind, no two replicas on one node."""
        missing = self._missing(request)
        if not missing:
            return
        own = {
            place.node
            for number in range(request.deployment.replicas)
            if number not in missing
            for place in self.found[request.index, number][1]
        }
        failures = []
        found: list[tuple[int, Shape, tuple[Seat, ...]]] = []
        for kind, shape in request.shapes.items():
            chosen = self._room(request, kind, shape, len(missing), own)
            taken = min(len(chosen) // shape.nodes, len(missing))
            for number in missing[:taken]:
                seats, chosen = tuple(chosen[: shape.nodes]), chosen[shape.nodes :]
                own.update(place.node for place in seats)
                found.append((number, shape, seats))
            missing = missing[taken:]
            if not missing:
                # Only now: a deployment that does not fit takes no room from those after it.
                for number, shape_, seats in found:
                    self._take(request, number, shape_, seats)
                return
            failures.append(self._shortage(request, kind, shape, len(missing), own))
        self.result.problems.append(
            request.problem("; or ".join(failures), "replicas" if request.deployment.replicas > 1 else "name")
        )

    def _missing(self, request: Request) -> list[int]:
        return [i for i in range(request.deployment.replicas) if (request.index, i) not in self.found]

    def _room(self, request: Request, kind: Kind, shape: Shape, replicas: int, own: set[str]) -> list[Seat]:
        """Seats for as many complete replicas as there is room for, in the order in which they are used."""
        port = request.deployment.port
        nodes = self.by_kind[kind]
        if kind.gpu_count:
            # Nodes without a free GPU never come back: later deployments need not look at them again.
            nodes = self.by_kind[kind] = [
                node for node in nodes if len(self.occupied.gpus.get(node.name, ())) < kind.gpu_count
            ]
        else:
            nodes = sorted(nodes, key=lambda node: self.occupied.ranks.get(node.name, 0))
        wanted = replicas * shape.nodes
        wanted_gpus = request.deployment.gpus
        # A leader needs its port on its node; a node where that is taken can still hold a worker.
        leaders: deque[Seat] = deque()
        workers: deque[Seat] = deque()
        for node in nodes:
            if node.name in own:
                continue
            free = self.occupied.free(node) if kind.gpu_count else []
            if wanted_gpus is not None:
                if not set(wanted_gpus) <= set(free):
                    continue
                free = list(wanted_gpus)
            elif kind.gpu_count and len(free) < shape.gpus:
                continue
            place = Seat(node.name, tuple(free[: shape.gpus]) if kind.gpu_count else ())
            (workers if port in self.occupied.endpoints.get(node.name, ()) else leaders).append(place)
            if len(leaders) >= wanted:
                break
        seats: list[Seat] = []
        while leaders and len(leaders) + len(workers) >= shape.nodes and len(seats) < wanted:
            seats.append(leaders.popleft())
            seats += [(workers or leaders).popleft() for _ in range(shape.nodes - 1)]
        return seats

    def _shortage(self, request: Request, kind: Kind, shape: Shape, replicas: int, own: set[str]) -> str:
        """Why there is no room, for a person who has to make some."""
        everyone = [node for node in self.all_of_kind[kind] if node.name not in own]
        port = request.deployment.port
        blocked = [node.name for node in everyone if port in self.occupied.endpoints.get(node.name, ())]
        wanted = shape.nodes * replicas
        nodes = "1 more node" if wanted == 1 else f"{wanted} more nodes"
        if kind.gpu_count:
            gpus = "1 free GPU" if shape.gpus == 1 else f"{shape.gpus} free GPUs"
            what = f"with {gpus}{' each' if wanted > 1 else ''} ({kind.gpu_model})"
            left = sum(1 for node in everyone if len(self.occupied.free(node)) >= shape.gpus)
        else:
            what = "without GPU"
            left = len(everyone) - (len(blocked) if shape.nodes == 1 else 0)
        taken = sorted({user for node in everyone for user in self.occupied.gpus.get(node.name, {}).values()})
        total = len(self.all_of_kind[kind])
        such = "1 such node" if total == 1 else f"{total} such nodes"
        why = [f"of {such} {left or 'none'} {'is' if left < 2 else 'are'} left"]
        if taken:
            why.append(f"GPUs are used by {_all(taken)}")
        if blocked:
            why.append(f"port {port} is taken on {_all(blocked)}")
        if request.deployment.replicas > 1:
            why.append("replicas of a deployment do not share a node")
        return f"needs {nodes} {what}, and there are not enough: {'; '.join(why)}"
