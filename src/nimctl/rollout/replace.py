"""Put one node in another's place: the lock's seats move, the description is edited where it names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from nimctl.cluster import Cluster, Node
from nimctl.contracts import Contract
from nimctl.description.nodeset import expand
from nimctl.description.words import nearest
from nimctl.errors import RejectedError
from nimctl.lock import Lock, ReplicaSeats, Seat
from nimctl.locking import seats_of
from nimctl.placement import Placement
from nimctl.resolve import resolve
from nimctl.run.names import fold


class CannotReplaceError(RejectedError):
    """The spare cannot take the node's place; nothing was changed."""


def check(cluster: Cluster, lock: Lock, name: str, spare: str) -> None:
    """Raise CannotReplaceError, with everything that speaks against it."""
    nodes = {node.name: node for node in cluster.nodes}
    for given in (name, spare):
        if given not in nodes:
            raise CannotReplaceError(f"{given} is no node of this cluster{nearest(given, nodes)}")
    if name == spare:
        raise CannotReplaceError(f"{name} cannot replace itself; name another node after --with")
    seats = [(owner, seat) for owner, seat in _seats(lock)]
    own = [seat for _, seat in seats if seat.node == name]
    problems = [*_unfit(nodes[name], nodes[spare], own)]
    users = sorted({owner for owner, seat in seats if seat.node == spare})
    if users:
        problems.append(f"{spare} is in use by {', '.join(users)}")
    if not own:
        problems.append(f"{name} has no rank, so there is nothing to replace")
    for storage in cluster.storage:
        if storage.server in (name, spare):
            problems.append(
                f"{storage.server} serves {storage.mount}: storage does not move; change `server` by hand"
            )
    if problems:
        raise CannotReplaceError(
            f"{spare} cannot replace {name}: {'; '.join(problems)}. Nothing was changed."
        )


def _seats(lock: Lock) -> list[tuple[str, Seat]]:
    return [
        (owner, seat)
        for owner, replicas in lock.placement.items()
        for replica in replicas
        for seat in replica.seats
    ]


def _unfit(node: Node, spare: Node, seats: list[Seat]) -> list[str]:
    """What the spare lacks for these seats."""
    problems = []
    if spare.absent:
        problems.append(f"{spare.name} is leaving the cluster (`state: absent`)")
    if node.gpu_count and spare.gpu_model != node.gpu_model:
        problems.append(f"{spare.name} has {spare.gpu_model or 'no GPUs'}, {node.name} has {node.gpu_model}")
    needed = max((gpu + 1 for seat in seats for gpu in seat.gpus), default=0)
    if spare.gpu_count < needed:
        problems.append(f"{spare.name} has {spare.gpu_count} GPUs, and ranks use GPU {needed - 1}")
    kinds = [(item.fabric.kind, item.fabric.rate) if item.fabric else None for item in (node, spare)]
    if kinds[0] != kinds[1]:
        has, wanted = (" ".join(kind) if kind else "no fabric" for kind in (kinds[1], kinds[0]))
        problems.append(f"{spare.name} has {has}, {node.name} has {wanted}")
    return problems


def moved(lock: Lock, name: str, spare: str) -> Lock:
    """The lock with the seats of one node taken by another."""
    placement = {
        owner: tuple(
            ReplicaSeats(
                tuple(Seat(spare if seat.node == name else seat.node, seat.gpus) for seat in replica.seats),
                replica.ports,
            )
            for replica in replicas
        )
        for owner, replicas in lock.placement.items()
    }
    return replace(lock, placement=placement)


def checked(cluster: Cluster, lock: Lock, contracts: Mapping[str, Contract]) -> Placement:
    """The placement of the edited description; raises CannotReplaceError where anything else would move."""
    placement = resolve(cluster, lock, contracts)
    found = seats_of(placement)
    others = sorted(owner for owner in lock.placement if found.get(owner) != lock.placement[owner])
    if others:
        raise CannotReplaceError(f"{', '.join(others)} would be placed anew. Nothing was changed.")
    return placement


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


def edited(text: str, file: Path, name: str, spare: str) -> str:
    """The description with the spare in the node's place: `hosts` of deployments, and the node absent.

    Only these values change; comments and layout stay. Raises CannotReplaceError where the file says it in
    a way that has to be edited by hand.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    edits = [
        edit
        for deployment in _entries(root, "deployments")
        if (edit := _hosts(deployment, name, spare)) is not None
    ]
    for entry in _entries(root, "nodes"):
        hosts = _value(entry, "hosts")
        if isinstance(hosts, yaml.ScalarNode) and name in expand(hosts.value):
            edits += _absent(entry, hosts, name, file)
    for edit in sorted(edits, key=lambda edit: -edit.start):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _entries(root: yaml.Node | None, section: str) -> list[yaml.MappingNode]:
    found = _value(root, section) if isinstance(root, yaml.MappingNode) else None
    items = found.value if isinstance(found, yaml.SequenceNode) else []
    return [item for item in items if isinstance(item, yaml.MappingNode)]


def _value(mapping: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((value for name, value in mapping.value if name.value == key), None)


def _hosts(deployment: yaml.MappingNode, name: str, spare: str) -> _Edit | None:
    hosts = _value(deployment, "hosts")
    if not isinstance(hosts, yaml.ScalarNode) or name not in expand(hosts.value):
        return None
    return _Edit(
        hosts.start_mark.index,
        hosts.end_mark.index,
        f'"{_written([spare if host == name else host for host in expand(hosts.value)])}"',
    )


def _written(names: list[str]) -> str:
    """A node set that expands to these names in this order: ranks follow it."""
    folded = fold(names)
    return folded if expand(folded) == names else ",".join(names)


def _absent(entry: yaml.MappingNode, hosts: yaml.ScalarNode, name: str, file: Path) -> list[_Edit]:
    """Mark a node as leaving; a list of one kind of machine keeps its other nodes."""
    state, absent = _value(entry, "state"), _value(entry, "absent")
    if isinstance(state, yaml.ScalarNode) and state.value == "absent":
        return []
    if isinstance(absent, yaml.ScalarNode):
        names = list(dict.fromkeys([*expand(absent.value), name]))
        return [_Edit(absent.start_mark.index, absent.end_mark.index, f'"{_written(names)}"')]
    end = hosts.end_mark.index
    if entry.flow_style:
        return [_Edit(end, end, f", absent: {name}")]
    key = next(key for key, value in entry.value if value is hosts)
    if hosts.style not in (None, "'", '"') or hosts.start_mark.line != hosts.end_mark.line:
        raise CannotReplaceError(
            f"{file}:{key.start_mark.line + 1}: write `hosts` on one line, or add `absent: {name}` to this "
            "entry by hand; nothing was changed"
        )
    # After the rest of the line, which may hold a comment.
    buffer = hosts.end_mark.buffer or ""
    line_end = buffer.find("\n", end)
    end = len(buffer.rstrip("\0")) if line_end < 0 else line_end
    return [_Edit(end, end, f"\n{' ' * key.start_mark.column}absent: {name}")]
