"""What each deployment asks for, before anything is placed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nimctl.cluster import Cluster, Node
from nimctl.contracts import Contract, NoContractError, choose, engines, warnings
from nimctl.description.document import Deployment
from nimctl.description.nodeset import NodeSetError, expand
from nimctl.description.words import listing, nearest
from nimctl.errors import Problem
from nimctl.resolve.shape import Machine, Shape, ShapeError, on_free_nodes, on_given_nodes


@dataclass(frozen=True, slots=True)
class Kind:
    """Machines that may share a replica: the same GPUs and the same fabric."""

    gpu_model: str | None
    gpu_count: int
    fabric: str

    @property
    def machine(self) -> Machine:
        """What one node of this kind offers."""
        return Machine(self.gpu_count)


def kind_of(node: Node) -> Kind:
    """The kind of a node."""
    fabric = f"{node.fabric.kind} {node.fabric.rate}" if node.fabric else ""
    return Kind(node.gpu_model if node.gpu_count else None, node.gpu_count, fabric)


@dataclass(frozen=True, slots=True)
class Request:
    """One deployment that was understood.

    ``hosts`` are its nodes as written, None when it is to be placed; ``shapes`` says for each kind of node
    how a replica would be split there (one entry when ``hosts`` are given). ``problems`` do not keep it
    from being placed, so that those of the placement are found as well.
    """

    index: int
    deployment: Deployment
    hosts: tuple[Node, ...] | None
    shapes: Mapping[Kind, Shape]
    contract: Contract
    notes: tuple[str, ...]
    problems: tuple[Problem, ...]

    def problem(self, message: str, *field: str | int) -> Problem:
        """A problem of this deployment."""
        return Problem(("deployments", self.index, *field), message)


class RequestError(Exception):
    """A deployment cannot be understood; carries the problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{len(problems)} problems")


def understand(
    cluster: Cluster,
    index: int,
    contracts: Mapping[str, Contract],
    free: Sequence[Node],
    by_name: Mapping[str, Node],
) -> Request:
    """Read one deployment; raises RequestError.

    ``free`` are the nodes that may be chosen when the deployment names none, ``by_name`` all nodes.
    """
    deployment = cluster.deployments[index]
    needs_gpus = engines()[deployment.engine].gpus == "required"
    hosts: tuple[Node, ...] | None = None
    notes: list[str] = []
    if deployment.hosts is not None:
        hosts = _hosts(deployment, index, by_name, needs_gpus)
        kinds = [kind_of(hosts[0])]
        if len({node.gpu_model for node in hosts if node.gpu_count}) > 1:
            notes.append(f"deployment {deployment.name}: its hosts have different GPUs")
    else:
        kinds = _kinds(deployment, index, free, needs_gpus)
    shapes: dict[Kind, Shape] = {}
    errors: list[ShapeError] = []
    for kind in kinds:
        try:
            shapes[kind] = _shape(deployment, kind, hosts)
        except ShapeError as error:
            errors.append(error)
    if not shapes:
        raise RequestError([_at(index, errors[0].args[0], *errors[0].field)])
    nodes = next(iter(shapes.values())).nodes
    try:
        choice = choose(deployment, nodes, contracts)
    except NoContractError as error:
        raise RequestError([_at(index, str(error), error.field)]) from error
    if choice.note:
        notes.append(choice.note)
    notes += warnings(deployment, nodes, choice.contract)
    if hosts and deployment.gpus is None and hosts[0].gpu_count:
        used = shapes[kinds[0]].gpus
        if used < hosts[0].gpu_count:
            notes.append(
                f"deployment {deployment.name}: uses {used} of the {hosts[0].gpu_count} GPUs of each host"
            )
    problems = _contradictions(deployment, index, choice.contract)
    return Request(index, deployment, hosts, shapes, choice.contract, tuple(notes), tuple(problems))


def _at(index: int, message: str, *field: str | int) -> Problem:
    return Problem(("deployments", index, *field), message)


def _hosts(
    deployment: Deployment, index: int, by_name: Mapping[str, Node], needs_gpus: bool
) -> tuple[Node, ...]:
    try:
        names = expand(deployment.hosts or "")
    except NodeSetError as error:
        raise RequestError([_at(index, str(error), "hosts")]) from error
    problems: list[Problem] = []
    found: list[Node] = []
    for name in names:
        node = by_name.get(name)
        if node is None:
            problems.append(
                _at(index, f"{name!r} is no node of this cluster{nearest(name, by_name)}", "hosts")
            )
        elif node.absent:
            problems.append(
                _at(index, f"{name} is leaving (`state: absent`); name a node that stays", "hosts")
            )
        elif needs_gpus and not node.gpu_count:
            problems.append(
                _at(index, f"engine {deployment.engine} needs GPUs, and {name} has none", "hosts")
            )
        else:
            found.append(node)
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        problems.append(_at(index, f"{twice} is named twice", "hosts"))
    if len(problems) > 5:
        problems = [*problems[:5], _at(index, f"and {len(problems) - 5} more nodes like these", "hosts")]
    if not problems and len(found) % deployment.replicas:
        problems.append(
            _at(index, f"{len(found)} nodes do not divide into {deployment.replicas} replicas", "replicas")
        )
    if not problems and deployment.gpus is None and len({node.gpu_count for node in found}) > 1:
        counts = listing(sorted({f"{node.name} has {node.gpu_count}" for node in found}), 4)
        problems.append(
            _at(
                index,
                f"ranks of a replica use equally many GPUs, but {counts}; say which with `gpus`",
                "hosts",
            )
        )
    for node in found if deployment.gpus is not None else ():
        too_high = [gpu for gpu in deployment.gpus or () if gpu >= node.gpu_count]
        if too_high:
            has = f"has {node.gpu_count} (0 to {node.gpu_count - 1})" if node.gpu_count else "has none"
            problems.append(_at(index, f"GPU {too_high[0]} is asked for, but {node.name} {has}", "gpus"))
            break
    if deployment.gpus is not None and len(set(deployment.gpus)) < len(deployment.gpus):
        problems.append(_at(index, "a GPU is named twice", "gpus"))
    if problems:
        raise RequestError(problems)
    return tuple(found)


def _kinds(deployment: Deployment, index: int, free: Sequence[Node], needs_gpus: bool) -> list[Kind]:
    """The kinds of nodes that a deployment may be placed on: with GPUs first, in the order of the file."""
    found = list(dict.fromkeys(kind_of(node) for node in free))
    with_gpus = [kind for kind in found if kind.gpu_count]
    without = [kind for kind in found if not kind.gpu_count]
    if deployment.gpus is not None:
        highest = max(deployment.gpus, default=0)
        kinds = [kind for kind in with_gpus if highest < kind.gpu_count]
        if not kinds:
            raise RequestError([_at(index, f"GPU {highest} is asked for, and no node has so many", "gpus")])
        return kinds
    if needs_gpus and not with_gpus:
        raise RequestError([_at(index, f"{deployment.engine} needs GPUs, and no node has any", "engine")])
    kinds = with_gpus if needs_gpus else [*with_gpus, *without]
    if not kinds:
        raise RequestError(
            [
                _at(
                    index,
                    "there is no node to place it on (nodes that serve storage are used only when `hosts` "
                    "names them)",
                )
            ]
        )
    return kinds


def _shape(deployment: Deployment, kind: Kind, hosts: tuple[Node, ...] | None) -> Shape:
    chosen = len(deployment.gpus) if deployment.gpus is not None else None
    if hosts is None:
        return on_free_nodes(deployment.parallel, kind.machine, chosen)
    return on_given_nodes(deployment.parallel, len(hosts) // deployment.replicas, kind.machine, chosen)


def _contradictions(deployment: Deployment, index: int, contract: Contract) -> list[Problem]:
    """What a deployment says that its contract says itself, or has no way to say."""
    problems: list[Problem] = []
    keys = {key.variable for key in contract.keys}
    for name in deployment.env:
        if name in contract.identity:
            message = (
                f"carries a rank, a size or an address that contract {contract.id} sets by itself; remove it"
            )
            problems.append(_at(index, message, "env", name))
        elif name in keys:
            problems.append(_at(index, "is a secret; name its source under `secrets` instead", "env", name))
    if deployment.args and contract.arguments == "refused":
        problems.append(
            _at(index, f"contract {contract.id} has no way to pass engine arguments; use `env`", "args")
        )
    for position, argument in enumerate(deployment.args):
        flag = re.split("=", argument, maxsplit=1)[0]
        if flag in contract.flags:
            problems.append(
                _at(
                    index,
                    f"{flag} is set by contract {contract.id} from the rest of the description; remove it",
                    "args",
                    position,
                )
            )
    if deployment.precision and contract.precision and deployment.precision not in contract.precision:
        known = listing(sorted(contract.precision))
        message = f"contract {contract.id} has no argument for {deployment.precision}, only for {known}"
        problems.append(
            _at(index, f"{message}; use a model that is stored that way, and `args`", "precision")
        )
    api = contract.ports["api"]
    if api.fixed and api.default and deployment.port != api.default:
        problems.append(_at(index, f"contract {contract.id} always serves on {api.default}", "port"))
    return problems
