"""What the deployments mean together with the nodes, as far as no placement is needed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from nimctl.description import nodeset, reserved, syntax
from nimctl.description.document import Deployment, NodeEntry
from nimctl.description.findings import Findings
from nimctl.description.nodes import Nodes
from nimctl.description.words import listing, nearest, shorten
from nimctl.errors import Field


def contracts(folder: Path) -> list[str]:
    """The ids of the launch contracts, ours and those in ``contracts/`` of a folder: one data file each."""
    names = {entry.name for entry in (files("nimctl") / "contracts").iterdir()}
    names.update(file.name for file in (folder / "contracts").glob("*.yml"))
    return sorted(name[:-4] for name in names if name.endswith(".yml"))


def check(
    deployments: Mapping[int, Deployment],
    entries: Mapping[int, NodeEntry],
    nodes: Nodes,
    known: list[str],
    findings: Findings,
) -> None:
    """Check every deployment; ``known`` are the ids of the contracts."""
    names: dict[str, Field] = {}
    sets = _Sets()
    for index, deployment in deployments.items():
        if findings.full:
            break
        where: Field = ("deployments", index)
        first = names.setdefault(deployment.name, where)
        if first != where:
            line = findings.line((*first, "name"))
            found = f'found "{deployment.name}" a second time (line {line} has it)'
            findings.add((*where, "name"), f"{found}, expected another name")
        _check_contract(where, deployment, known, findings)
        _check_hosts(where, deployment, sets, entries, nodes, findings)
        _check_gpus(where, deployment, findings)
        _check_environment((*where, "env"), deployment.env, findings)
        _check_arguments((*where, "args"), deployment.args, findings)
        _check_weights(where, deployment, findings)


def _check_contract(where: Field, deployment: Deployment, known: list[str], findings: Findings) -> None:
    contract = deployment.contract
    if contract is not None and contract not in known:
        findings.add(
            (*where, "contract"),
            f'found the unknown contract "{shorten(contract)}", '
            f"expected {listing(known)}{nearest(contract, known)}",
        )


class _Sets:
    """Expands the node sets of all deployments: each text once, and a limited number of names."""

    def __init__(self) -> None:
        self._known: dict[str, list[str]] = {}
        self._left = 4 * nodeset.MAX_NAMES

    def expand(self, text: str) -> list[str]:
        if text not in self._known:
            self._known[text] = nodeset.expand(text, min(self._left, nodeset.MAX_NAMES))
        self._left -= len(self._known[text])
        if self._left < 0:
            raise nodeset.NodeSetError(
                f"more than {4 * nodeset.MAX_NAMES:,} names in all deployments together"
            )
        return self._known[text]


def _check_hosts(
    where: Field,
    deployment: Deployment,
    sets: _Sets,
    entries: Mapping[int, NodeEntry],
    nodes: Nodes,
    findings: Findings,
) -> None:
    if deployment.hosts is None:
        return
    at = (*where, "hosts")
    try:
        hosts = sets.expand(deployment.hosts)
    except nodeset.NodeSetError as error:
        shown = shorten(deployment.hosts)
        findings.add(at, f'found "{shown}", expected a node set such as gpu[01-02]: {error}')
        return
    unknown = [host for host in hosts if host not in nodes.entry_of]
    if unknown:
        if nodes.complete:
            near = nodes.near(unknown[0]) if findings.suggesting else ""
            found = f"found {_names(unknown)}, which no entry of nodes describes"
            findings.add(at, f"{found}, expected nodes of this cluster{near}")
        return
    if len(set(hosts)) < len(hosts):
        twice = [host for host, count in Counter(hosts).items() if count > 1]
        findings.add(at, f"found {_names(twice)} twice, expected each node once")
    absent = [host for host in hosts if host in nodes.absent]
    if absent:
        findings.add(at, f"found {_names(absent)}, whose state is absent, expected nodes that stay")
    _check_gpus_of_hosts(where, deployment, hosts, entries, nodes, findings)


def _check_gpus_of_hosts(
    where: Field,
    deployment: Deployment,
    hosts: list[str],
    entries: Mapping[int, NodeEntry],
    nodes: Nodes,
    findings: Findings,
) -> None:
    if any(nodes.entry_of[host] in nodes.unsure for host in hosts):
        return
    counts = {host: entries[nodes.entry_of[host]].gpu.count for host in hosts}
    bare = [host for host, count in counts.items() if count == 0]
    if bare and deployment.engine in ("nim", "sglang"):
        found = f"found {_names(bare)} without a GPU"
        findings.add(
            (*where, "hosts"), f"{found}, expected nodes with GPUs for the engine {deployment.engine}"
        )
        return
    for position, gpu in enumerate(deployment.gpus or []):
        small = next((host for host, count in counts.items() if gpu >= count), None)
        if small is not None:
            count = counts[small]
            has = "has no GPU" if count == 0 else f"has {count} (0 to {count - 1})"
            findings.add(
                (*where, "gpus", position), f"found GPU {gpu}, expected one that exists: {small} {has}"
            )
            return


def _check_gpus(where: Field, deployment: Deployment, findings: Findings) -> None:
    seen: set[int] = set()
    for position, gpu in enumerate(deployment.gpus or []):
        if gpu in seen:
            findings.add((*where, "gpus", position), f"found GPU {gpu} a second time, expected each GPU once")
        seen.add(gpu)


def _check_environment(where: Field, environment: Mapping[str, str], findings: Findings) -> None:
    table = reserved.environment()
    for name in environment:
        at = (*where, name)
        if syntax.VARIABLE.fullmatch(name) is None:
            found = f'found the name "{shorten(name)}"'
            findings.add(at, f"{found}, expected letters, digits and `_`, no digit first", key=True)
            continue
        if name.upper() in table.secrets:
            message = (
                "found a literal value (not shown), expected no secret here; name its source under secrets"
            )
            findings.add(at, message, key=True)
            continue
        why = table.reason(name.upper())
        if why is not None:
            found = f"found a variable that carries {why.carries}"
            findings.add(at, f"{found}, expected none: {why.instead}", key=True)


def _check_arguments(where: Field, arguments: list[str], findings: Findings) -> None:
    table = reserved.arguments()
    for index, argument in enumerate(arguments):
        name = argument.split("=", 1)[0].split(" ", 1)[0]
        at = (*where, index)
        if name in table.secrets:
            findings.add(at, f"found {name}, expected no secret here: arguments are shown in process lists")
        why = table.reason(name)
        if why is not None:
            findings.add(at, f"found {name}, which carries {why.carries}, expected none: {why.instead}")


def _check_weights(where: Field, deployment: Deployment, findings: Findings) -> None:
    weights = deployment.weights
    if weights is not None and weights.source in ("folder", "tar") and weights.path is None:
        found = f"found nothing, with source {weights.source}"
        findings.add((*where, "weights", "path"), f"{found}, expected the folder on the nodes")


def _names(names: list[str], limit: int = 5) -> str:
    shown = ", ".join(shorten(name) for name in names[:limit])
    return f"{shown} and {len(names) - limit:,} more" if len(names) > limit else shown
