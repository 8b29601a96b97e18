"""Ports: the description's own must not meet on a node, internal ones are given numbers that are free."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from nimctl.contracts import Role
from nimctl.contracts.model import PortRow
from nimctl.errors import Problem
from nimctl.lock import Lock, Seat
from nimctl.resolve.request import Request

Key = tuple[int, int]
"""Index of a deployment, number of a replica."""


def role_of(rank: int, nodes: int) -> Role:
    """The role of a rank in a replica of so many nodes."""
    if nodes == 1:
        return "single"
    return "worker" if rank else "leader"


class Ports:
    """Numbers for the ports of every replica; ``problems`` says which cannot be given."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._used: dict[str, dict[int, str]] = defaultdict(dict)
        self._numbers: dict[Key, dict[str, int]] = defaultdict(dict)

    def assign(
        self, requests: Sequence[Request], seats: Mapping[int, Sequence[Sequence[Seat]]], lock: Lock
    ) -> Mapping[Key, Mapping[str, int]]:
        """Give every port its number: what cannot move first, then what the lock says, then the rest."""
        everyone = [
            (request, number, places)
            for request in requests
            for number, places in enumerate(seats.get(request.index, ()))
        ]
        for request, number, places in everyone:
            for name, row in _rows(request):
                if row.default is None or row.fixed:
                    self._give_fixed(request, number, places, name, row)
        for request, number, places in everyone:
            locked = lock.placement.get(request.deployment.name, ())
            for name, row in _rows(request):
                wanted = locked[number].ports.get(name) if number < len(locked) else None
                if wanted is not None and row.default is not None and not row.fixed:
                    nodes = _nodes(places, row)
                    if all(wanted not in self._used[node] for node in nodes):
                        self._give(request, number, nodes, name, wanted)
        for request, number, places in everyone:
            for name, row in _rows(request):
                if name not in self._numbers[request.index, number]:
                    self._give_free(request, number, places, name, row)
        return self._numbers

    def _give(self, request: Request, number: int, nodes: Sequence[str], name: str, port: int) -> None:
        for node in nodes:
            self._used[node][port] = f"{request.deployment.name} ({name})"
        self._numbers[request.index, number][name] = port

    def _give_fixed(
        self, request: Request, number: int, places: Sequence[Seat], name: str, row: PortRow
    ) -> None:
        port = request.deployment.port if name == "api" else row.default
        assert port is not None
        nodes = _nodes(places, row)
        for node in nodes:
            other = self._used[node].get(port)
            if other is not None:
                what = (
                    "" if name == "api" else f" ({name} of contract {request.contract.id}, which cannot move)"
                )
                self.problems.append(
                    request.problem(
                        f"port {port}{what} is used by {other} on {node} already; "
                        f"give one of the two another {'port' if name == 'api' else 'node'}",
                        "port",
                    )
                )
                self._numbers[request.index, number][name] = port
                return
        self._give(request, number, nodes, name, port)

    def _give_free(
        self, request: Request, number: int, places: Sequence[Seat], name: str, row: PortRow
    ) -> None:
        assert row.default is not None
        nodes = _nodes(places, row)
        port = row.default
        while any(port in self._used[node] for node in nodes):
            port += row.step
            if port > 65535:
                message = (
                    f"no port is left for {name} of contract {request.contract.id} on {', '.join(nodes)}"
                )
                self.problems.append(request.problem(message, "hosts" if request.hosts else "name"))
                port = row.default
                break
        self._give(request, number, nodes, name, port)


SUPERVISOR = "supervisor"
_SUPERVISOR = PortRow(
    roles=["leader"],
    default=29900,
    why="where the supervisors of the other ranks ask the one beside rank 0",
    source="roles/nim_rank/files/supervise.py",
    evidence="ours",
)


def _rows(request: Request) -> list[tuple[str, PortRow]]:
    engine = request.deployment.engine
    rows = [
        (name, row)
        for name, row in request.contract.ports.items()
        if not row.engines or engine in row.engines
    ]
    return [*rows, (SUPERVISOR, _SUPERVISOR)] if request.deployment.supervise else rows


def _nodes(places: Sequence[Seat], row: PortRow) -> list[str]:
    """The nodes of a replica on which a port is bound."""
    return [place.node for rank, place in enumerate(places) if role_of(rank, len(places)) in row.roles]
