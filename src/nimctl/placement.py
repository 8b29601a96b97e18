"""Which rank runs where: the one result that every renderer starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nimctl.cluster import Cluster
from nimctl.errors import Problem
from nimctl.lock import PlannedSplit


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder of the node that a rank sees; ``owner`` is the uid it must belong to, if that matters."""

    source: str
    target: str
    read_only: bool = False
    owner: int | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """How the leader shows that its replica serves; ``deadline`` in seconds from the start.

    ``live`` answers as long as the process is alive, also while it loads; empty where the engine has no
    such path.
    """

    path: str
    port: int
    deadline: int
    live: str = ""


@dataclass(frozen=True, slots=True)
class Supervision:
    """How the ranks of a replica are kept together: all restart when one is lost.

    ``port`` is where the supervisor beside rank 0 listens, 0 in a replica of one rank; ``members`` are the
    nodes of the other ranks, in their order. ``silent`` is how many seconds a serving replica may make no
    progress; ``counters`` at ``paths`` of the API show progress. ``handshake`` is the pattern of the line in
    which rank 0 publishes what its workers need, ``expected`` what they are defined with. All but ``port`` is
    for rank 0.
    """

    port: int
    members: tuple[str, ...] = ()
    silent: int = 0
    paths: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    handshake: str = ""
    expected: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rank:
    """One node's share of a replica, with everything its container needs.

    ``options`` are the flags of ``docker run`` / ``podman run`` before the image, without --name,
    --label and --env-file; ``command`` is what follows the image. ``requires_mounts`` are the mount points of
    the storage that it reads from: nothing may be read in their place before they are mounted. ``secrets``
    names the variables that the rank gets from a 0600 file. ``api_port`` is where rank 0
    serves and no worker may. ``supervision`` is None where a rank that ends is started again alone. ``spec``
    changes when anything in the replica changes.

    ``shm``, ``entrypoint`` and ``rdma`` say again what ``options`` hold, for targets that have other words
    for it. ``program`` is all that runs in the container, for targets that do not start what the image names;
    empty where nobody knows it.
    """

    name: str
    deployment: str
    replica: int
    rank: int
    nodes: int
    node: str
    address: str
    leader: str
    leader_address: str
    gpus: tuple[int, ...]
    ports: Mapping[str, int]
    image: str
    options: tuple[str, ...]
    environment: Mapping[str, str]
    command: tuple[str, ...]
    secrets: tuple[str, ...]
    mounts: tuple[Mount, ...]
    health: Health | None
    stop_timeout: int
    api_port: int = 0
    requires_mounts: tuple[str, ...] = ()
    supervision: Supervision | None = None
    spec: str = ""
    shm: str = ""
    entrypoint: str = ""
    program: tuple[str, ...] = ()
    rdma: bool = False


@dataclass(frozen=True, slots=True)
class Placement:
    """Every rank of a cluster.

    ``notes`` are remarks for a person, such as an inferred contract; ``contracts`` names each deployment's
    contract; ``refusals`` say why this placement may be shown but not started: ``check_runnable`` of
    ``nimctl.resolve`` raises them. ``stack`` has the locked versions that still apply, by layer.
    ``planned`` has the splits that were filled in, by deployment.
    """

    cluster: Cluster
    ranks: tuple[Rank, ...]
    notes: tuple[str, ...] = ()
    contracts: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[Problem, ...] = ()
    stack: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    planned: Mapping[str, PlannedSplit] = field(default_factory=dict)
