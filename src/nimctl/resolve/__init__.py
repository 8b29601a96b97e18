"""From a description (and its lock) to the placement of every rank: same input, same output, no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nimctl.cluster import Cluster
from nimctl.contracts import Contract, builtin
from nimctl.errors import DescriptionError, Problem, RejectedError
from nimctl.fabrics import attached
from nimctl.lock import Lock, Seat
from nimctl.placement import Placement, Rank
from nimctl.resolve.fill import Filled
from nimctl.resolve.ports import Ports
from nimctl.resolve.ranks import Recipe, image_of, replica
from nimctl.resolve.request import Request, RequestError, understand
from nimctl.resolve.seats import seat
from nimctl.resolve.spelling import Spelling
from nimctl.stack.locking import still_locked
from nimctl.suggest import command

__all__ = ["PlacementError", "check_runnable", "resolve"]


class PlacementError(DescriptionError):
    """The ranks cannot be placed; ``problems`` name the fields, not yet located in their file."""


def resolve(
    cluster: Cluster,
    lock: Lock | None = None,
    contracts: Mapping[str, Contract] | None = None,
    spelling: Spelling | None = None,
) -> Placement:
    """Place every rank of a cluster.

    ``lock`` keeps what was placed before in its place; ``contracts`` are those that may be used (None: ours).
    ``spelling`` only changes how ranks write what a target knows no sooner than they start.
    Raises PlacementError with every problem.
    """
    lock = lock or Lock()
    contracts = builtin() if contracts is None else contracts
    cluster = attached(cluster, lock.nodes)
    by_name = {node.name: node for node in cluster.nodes}
    free = [node for node in cluster.nodes if not node.absent and node.name not in _storage_servers(cluster)]
    filled = Filled(cluster, lock, free)
    cluster = filled.cluster
    requests: list[Request] = []
    problems: list[Problem] = []
    for index in range(len(cluster.deployments)):
        try:
            requests.append(understand(cluster, index, contracts, free, by_name))
        except RequestError as error:
            problems += error.problems
    for request in requests:
        problems += request.problems
    folder = cluster.file.parent if cluster.file else None
    seating = seat(requests, free, by_name, lock, folder)
    problems += seating.problems
    ports = Ports()
    places: dict[int, Sequence[Sequence[Seat]]] = {
        index: [seats for _, seats in replicas] for index, replicas in seating.seats.items()
    }
    numbers = ports.assign(requests, places, lock)
    problems += ports.problems
    problems += _missing_keys(cluster, requests)
    if problems:
        raise PlacementError(sorted(problems, key=_order))
    ranks: list[Rank] = []
    notes = [*filled.notes, *(note for request in requests for note in request.notes), *seating.notes]
    refusals: list[Problem] = []
    for request in requests:
        image, pinned = image_of(request.deployment, lock)
        if not pinned:
            notes.append(
                f"deployment {request.deployment.name}: {image} has no digest yet; "
                f"`{command(folder, 'lock')}` or the first run looks it up and writes it to cluster.lock.yml"
            )
        recipe = Recipe(request, spelling)
        for number, (shape, seats) in enumerate(seating.seats[request.index]):
            ranks += replica(
                cluster, recipe, number, shape, seats, numbers[request.index, number], by_name, image
            )
        refusals += _refusals(request)
    return Placement(
        cluster,
        tuple(ranks),
        (*notes, *(f"{refusal.message}" for refusal in refusals)),
        {request.deployment.name: request.contract.id for request in requests},
        tuple(refusals),
        still_locked(cluster, lock.stack),
        filled.planned,
    )


def check_runnable(placement: Placement) -> None:
    """Refuse what can be shown but must not be started; raises RejectedError. Every run calls it first."""
    if placement.refusals:
        raise RejectedError("\n".join(refusal.message for refusal in placement.refusals))


def _storage_servers(cluster: Cluster) -> frozenset[str]:
    """Nodes that serve storage: they have another job, so ranks come there only when a deployment says so."""
    return frozenset(server for server in (storage.server for storage in cluster.storage) if server)


def _missing_keys(cluster: Cluster, requests: Sequence[Request]) -> list[Problem]:
    problems = []
    for request in requests:
        deployment = request.deployment
        if deployment.engine == "nim" and not (deployment.weights and deployment.weights.path):
            for key in request.contract.keys:
                if key.required and key.secret not in cluster.secrets:
                    problems.append(
                        request.problem(
                            f"the engine downloads its model with {key.variable}; add `{key.secret}` under "
                            "`secrets` (a source, such as {env: "
                            + key.variable
                            + "}), or weights.path where it lies already",
                            "weights",
                        )
                    )
    return problems


def _refusals(request: Request) -> list[Problem]:
    found = []
    for refusal in request.contract.refuse:
        if request.deployment.engine in refusal.engines:
            instead = f"; write `contract: {refusal.use}`" if refusal.use else ""
            found.append(
                request.problem(
                    f"deployment {request.deployment.name}: contract {request.contract.id} is only shown, "
                    f"never started with engine {request.deployment.engine}, because {refusal.why}{instead}",
                    "contract",
                )
            )
    return found


def _order(problem: Problem) -> int:
    """By deployment; problems of one keep their order (the sort is stable)."""
    index = problem.field[1] if len(problem.field) > 1 else -1
    return index if isinstance(index, int) else -1
