"""Write out every rank of a replica: environment, command, options, mounts, health, and a hash of it all."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nimctl.cluster import Cluster, Node
from nimctl.contracts import (
    ROLES,
    Contract,
    EngineFacts,
    Role,
    applies,
    engines,
    fill,
    for_role,
    metrics,
    network,
)
from nimctl.contracts.model import Option, Row
from nimctl.description.document import Deployment
from nimctl.description.syntax import parse_duration
from nimctl.image import parse
from nimctl.lock import Lock, Seat
from nimctl.placement import Health, Mount, Rank, Supervision
from nimctl.resolve.ports import SUPERVISOR, role_of
from nimctl.resolve.request import Request
from nimctl.resolve.shape import Shape
from nimctl.resolve.spelling import Spelling
from nimctl.resolve.storage import mounts_below
from nimctl.stack.layers.nccl import TOPOLOGY

CACHE_ROOT = "/var/cache/nimctl"
STOP_TIMEOUT = 30


def image_of(deployment: Deployment, lock: Lock) -> tuple[str, bool]:
    """The reference that nodes pull, and whether it names a digest."""
    reference = parse(deployment.image)
    digest = reference.digest or lock.images.get(deployment.image)
    return (reference.pinned(digest), True) if digest else (str(reference), False)


def replica(
    cluster: Cluster,
    recipe: Recipe,
    number: int,
    shape: Shape,
    seats: Sequence[Seat],
    ports: Mapping[str, int],
    by_name: Mapping[str, Node],
    image: str,
) -> list[Rank]:
    """All ranks of one replica, rank 0 first."""
    nodes = [by_name[seat.node] for seat in seats]
    ranks = [
        _rank(cluster, recipe, number, index, shape, nodes, seats[index], ports, image)
        for index in range(len(seats))
    ]
    digest = _spec(ranks)
    return [dataclasses.replace(rank, spec=digest) for rank in ranks]


def _rank(
    cluster: Cluster,
    recipe: Recipe,
    number: int,
    index: int,
    shape: Shape,
    nodes: Sequence[Node],
    seat: Seat,
    ports: Mapping[str, int],
    image: str,
) -> Rank:
    deployment, contract, facts = recipe.deployment, recipe.contract, recipe.facts
    role = role_of(index, len(nodes))
    node, leader = nodes[index], nodes[0]
    fields = _fields(deployment, contract, index, shape, node, leader, seat, ports)
    if recipe.spelling is not None:
        fields.update(recipe.spelling(deployment, node, fields))
    weights = deployment.weights.path if deployment.weights else None
    mounts = _mounts(deployment, contract, weights, role, fields)
    environment = recipe.environment(role, node, fields)
    if _has_topology(cluster, contract, seat):
        mounts.append(Mount(TOPOLOGY, TOPOLOGY, read_only=True))
        environment = dict(sorted({"NCCL_TOPO_FILE": TOPOLOGY, **environment}.items()))
    leads = role != "worker"
    own_ports = {
        name: ports[name] for name, row in contract.ports.items() if name in ports and role in row.roles
    }
    start = deployment.timeouts.start or facts.deadline or contract.start.deadline
    command = tuple(_command(contract, deployment, role, fields))
    health = Health(contract.health.path, ports["api"], parse_duration(start), contract.health.live or "")
    return Rank(
        name=f"{deployment.name}-{number}-{index}",
        deployment=deployment.name,
        replica=number,
        rank=index,
        nodes=len(nodes),
        node=node.name,
        address=node.rank_address,
        leader=leader.name,
        leader_address=leader.rank_address,
        gpus=seat.gpus,
        ports=own_ports,
        image=image,
        options=tuple(_options(contract, facts, deployment, role, node, seat, mounts, fields)),
        environment=environment,
        command=command,
        secrets=tuple(_secrets(cluster, contract, facts, weights)),
        mounts=tuple(mounts),
        health=health if leads else None,
        api_port=ports["api"],
        stop_timeout=parse_duration(deployment.timeouts.stop) if deployment.timeouts.stop else STOP_TIMEOUT,
        requires_mounts=mounts_below(cluster.storage, node, [mount.source for mount in mounts]),
        shm=_shm(contract, facts),
        entrypoint=contract.entrypoint or "",
        program=_program(contract, command),
        rdma=_wants_rdma(contract, facts, role, node, seat),
        supervision=_supervision(deployment, contract, role, nodes, ports, fields),
    )


def _fields(
    deployment: Deployment,
    contract: Contract,
    index: int,
    shape: Shape,
    node: Node,
    leader: Node,
    seat: Seat,
    ports: Mapping[str, int],
) -> dict[str, str]:
    """What templates may name, for one rank; empty where there is nothing."""
    weights = deployment.weights
    path = weights.path if weights and weights.path else ""
    fabric = node.fabric
    six = _is_ipv6(leader.rank_address)
    hcas = [f"{hca}:1" if ":" not in hca else hca for hca in fabric.hcas] if fabric else []
    return {
        "rank": str(index),
        "nodes": str(shape.nodes),
        "tensor": str(shape.tensor),
        "pipeline": str(shape.pipeline),
        "gpus": str(len(seat.gpus)),
        "leader": leader.name,
        "leader_address": leader.rank_address,
        "leader_host": f"[{leader.rank_address}]" if six else leader.rank_address,
        "address": node.rank_address,
        # Clients come from anywhere; a firewall decides who may.
        "listen": "::" if _is_ipv6(node.address) or _is_ipv6(node.rank_address) else "0.0.0.0",  # noqa: S104
        "model": deployment.model,
        "served_name": deployment.served_name or deployment.model,
        "weights": path,
        "model_or_path": path or (weights.repository if weights and weights.repository else deployment.model),
        "revision": weights.revision if weights and weights.revision else "",
        "profile": deployment.profile or "",
        "profile_backend": (deployment.profile or "").partition("-")[0],
        "arguments": shlex.join(deployment.args),
        "interface": fabric.interface if fabric and fabric.interface else "",
        "hcas": ",".join(hcas),
        "cache": contract.cache.path if contract.cache else "",
        "ipv6": "1" if six else "",
        **{f"port_{name}": str(ports.get(name, "")) for name in contract.ports},
    }


def _supervision(
    deployment: Deployment,
    contract: Contract,
    role: Role,
    nodes: Sequence[Node],
    ports: Mapping[str, int],
    fields: dict[str, str],
) -> Supervision | None:
    """How this rank is kept together with the others."""
    if not deployment.supervise:
        return None
    if role == "worker":
        return Supervision(ports[SUPERVISOR])
    shown = metrics()[deployment.engine]
    pattern = contract.log.handshake if role == "leader" else None
    return Supervision(
        ports[SUPERVISOR] if role == "leader" else 0,
        tuple(node.name for node in nodes[1:]),
        parse_duration(deployment.timeouts.silent or contract.liveness.silent),
        shown.paths,
        shown.counters,
        pattern or "",
        {name: fill(value, fields) for name, value in contract.log.published.items()} if pattern else {},
    )


def _is_ipv6(address: str) -> bool:
    return ":" in address


@dataclass(frozen=True, slots=True)
class _Setter:
    """One variable of one role: under which conditions it is set, and to what."""

    name: str
    value: str
    when: tuple[str, ...]
    unless: tuple[str, ...]


class Recipe:
    """What all ranks of a deployment have in common, worked out once for perhaps ten thousand of them."""

    def __init__(self, request: Request, spelling: Spelling | None = None) -> None:
        self.request = request
        self.spelling = spelling
        self.contract = request.contract
        self.deployment = request.deployment
        self.facts = engines()[request.deployment.engine]
        self.variables: dict[Role, list[_Setter]] = {
            role: [
                _Setter(row.name, row.value, tuple(row.when), tuple(row.unless))
                for row in self.contract.environment
                if row.value is not None and for_role(row, role, self.deployment.engine)
            ]
            for role in ROLES
        }
        self.network: dict[str, list[_Setter]] = {
            kind: [
                _Setter(row.name, row.value, tuple(row.when), ())
                for row in network()
                if row.value is not None and kind in row.kinds and not self.contract.literal
            ]
            for kind in ("infiniband", "roce", "ethernet")
        }

    def environment(self, role: Role, node: Node, fields: dict[str, str]) -> dict[str, str]:
        """Network variables, then the contract's, then the deployment's own, which may override both."""
        found: dict[str, str] = {}
        rows = self.variables[role]
        if role != "single" and node.fabric is not None:
            rows = [*self.network[node.fabric.kind], *rows]
        for row in rows:
            if row.when and not all(fields[name] for name in row.when):
                continue
            if row.unless and any(fields[name] for name in row.unless):
                continue
            found[row.name] = fill(row.value, fields)
        found.update(self.deployment.env)
        return dict(sorted(found.items()))


def _words(rows: Sequence[Row], role: Role, engine: str, fields: dict[str, str]) -> list[str]:
    return [
        fill(word, fields)
        for row in rows
        if applies(row, role, engine, fields)
        for word in getattr(row, "words")  # noqa: B009 - both kinds of rows that come here have it
    ]


def _command(contract: Contract, deployment: Deployment, role: Role, fields: dict[str, str]) -> list[str]:
    words = _words(contract.command, role, deployment.engine, fields)
    if deployment.precision and deployment.precision in contract.precision:
        words += contract.precision[deployment.precision].words
    if contract.arguments == "appended":
        words += deployment.args
    return words


def _secrets(cluster: Cluster, contract: Contract, facts: EngineFacts, weights: str | None) -> list[str]:
    """Variables that carry a secret: only where the engine must download by itself."""
    if weights or not facts.downloads:
        return []
    return [key.variable for key in contract.keys if key.required or key.secret in cluster.secrets]


def _mounts(
    deployment: Deployment, contract: Contract, weights: str | None, role: Role, fields: dict[str, str]
) -> list[Mount]:
    if contract.literal:
        return [
            _literal_mount(words[1])
            for words in _literal_options(contract, deployment, role, fields)
            if words[0] == "-v"
        ]
    mounts = []
    if contract.cache:
        mounts.append(Mount(f"{CACHE_ROOT}/{deployment.name}", contract.cache.path, owner=contract.cache.uid))
    if weights:
        mounts.append(Mount(weights, weights, read_only=True))
    return mounts


def _has_topology(cluster: Cluster, contract: Contract, seat: Seat) -> bool:
    """Whether NCCL in a rank is told what the machine hides: by the file that the role nccl copies."""
    nccl = cluster.stack.nccl
    return bool(nccl.topology and nccl.mode == "managed" and seat.gpus and not contract.literal)


def _shm(contract: Contract, facts: EngineFacts) -> str:
    """Size of /dev/shm, as the container engines write it."""
    return "" if contract.literal else facts.shm or contract.shm or ""


def _wants_rdma(contract: Contract, facts: EngineFacts, role: Role, node: Node, seat: Seat) -> bool:
    """Whether a rank talks to the others by RDMA, and so needs the node's HCAs."""
    return (
        bool(seat.gpus)
        and facts.devices == "all"
        and role != "single"
        and node.fabric is not None
        and node.fabric.kind in {"infiniband", "roce"}
        and not contract.literal
    )


def _program(contract: Contract, command: Sequence[str]) -> tuple[str, ...]:
    """All that runs in the container; empty where only the image knows it."""
    if contract.entrypoint:
        return (contract.entrypoint, *command)
    return tuple(command) or tuple(contract.program.words if contract.program else ())


def _literal_mount(volume: str) -> Mount:
    source, target, *mode = volume.split(":")
    return Mount(source, target, read_only=mode == ["ro"], owner=0)


def _literal_options(
    contract: Contract, deployment: Deployment, role: Role, fields: dict[str, str]
) -> list[list[str]]:
    rows: list[Option] = [row for row in contract.options if applies(row, role, deployment.engine, fields)]
    return [[fill(word, fields) for word in row.words] for row in rows]


def _options(
    contract: Contract,
    facts: EngineFacts,
    deployment: Deployment,
    role: Role,
    node: Node,
    seat: Seat,
    mounts: Sequence[Mount],
    fields: dict[str, str],
) -> list[str]:
    """Flags of ``docker run`` and ``podman run``, the same for both."""
    own = [word for words in _literal_options(contract, deployment, role, fields) for word in words]
    if contract.literal:
        return own
    # Where SELinux is enforced, a container may else neither write its cache nor read weights on a share, and
    # relabelling shared weights would change them for everybody.
    options = ["--network=host", "--security-opt=label=disable"]
    shm = _shm(contract, facts)
    if shm:
        options.append(f"--shm-size={shm}")
    if seat.gpus:
        options += [f"--device=nvidia.com/gpu={gpu}" for gpu in seat.gpus]
    if seat.gpus and facts.devices == "all":
        options.append("--ulimit=stack=67108864")
        if _wants_rdma(contract, facts, role, node, seat):
            options += ["--device=/dev/infiniband", "--cap-add=IPC_LOCK", "--ulimit=memlock=-1"]
    options += [
        f"--volume={mount.source}:{mount.target}{':ro' if mount.read_only else ''}" for mount in mounts
    ]
    if contract.entrypoint:
        options.append(f"--entrypoint={contract.entrypoint}")
    return options + own


def _spec(ranks: Sequence[Rank]) -> str:
    """A short hash over all that a replica's containers are started with.

    The deadline, the required mounts and the supervision are left out: they say what a start waits for and
    who watches it, and changing them should restart nothing.
    """
    return hashlib.sha256(json.dumps([_definition(rank) for rank in ranks]).encode()).hexdigest()[:12]


def _definition(rank: Rank) -> list[object]:
    """All that one container is started with, in a fixed order."""
    health = [rank.health.path, rank.health.port] if rank.health is not None else []
    return [
        rank.name,
        rank.nodes,
        rank.node,
        rank.address,
        rank.leader,
        rank.leader_address,
        rank.gpus,
        sorted(rank.ports.items()),
        rank.image,
        rank.options,
        sorted(rank.environment.items()),
        rank.command,
        rank.secrets,
        [[mount.source, mount.target, mount.read_only, mount.owner] for mount in rank.mounts],
        health,
        rank.stop_timeout,
    ]
