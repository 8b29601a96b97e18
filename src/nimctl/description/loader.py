"""Load a description: file to Cluster, or every problem that it has."""

from __future__ import annotations

import gc
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nimctl.cluster import Cluster, Node, NodeFabric
from nimctl.description import deployments, layers, nodes, shape, source, surroundings, texts
from nimctl.description.document import NodeEntry
from nimctl.description.findings import Findings
from nimctl.description.hardware import Hardware, hardware
from nimctl.description.marks import Positions
from nimctl.errors import DescriptionError, Problem

FILE = "cluster.yml"


@dataclass(frozen=True, slots=True)
class Examined:
    """What a description says as far as it is sound, and every problem found, in the order of the file.

    ``cluster`` is there also where something is wrong, as long as that does not decide where ranks run:
    then it can be placed, to find in the same run what is wrong with the placement.
    """

    cluster: Cluster | None
    problems: tuple[Problem, ...]


def load(path: Path) -> Cluster:
    """Load a description from a file or from a folder that holds ``cluster.yml``.

    Raises DescriptionError with all problems, each with its line and column.
    """
    examined = examine(path)
    if examined.problems or examined.cluster is None:
        raise DescriptionError(examined.problems)
    return examined.cluster


def locate(cluster: Cluster, problems: Iterable[Problem]) -> DescriptionError:
    """Give problems that were found later, such as by ``resolve``, their places in the file."""
    return DescriptionError(located(cluster, problems))


def located(cluster: Cluster, problems: Iterable[Problem]) -> list[Problem]:
    """The problems with their places, in the order of the file."""
    positions = cluster.positions
    placed = []
    for problem in problems:
        if cluster.file is not None and isinstance(positions, Positions):
            line, column = positions.nearest(problem.field)
            problem = replace(problem, file=cluster.file, line=line, column=column)
        placed.append(problem)
    return sorted(placed, key=lambda problem: (problem.line, problem.column))


def examine(path: Path) -> Examined:
    """Read and check a description without raising for what it holds."""
    # Hundreds of thousands of small objects that all stay: collecting meanwhile doubles the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        return _examine(path)
    finally:
        if collecting:
            gc.enable()


def _examine(path: Path) -> Examined:
    # Imported here, because the tables of the stack are read with this package's own tools.
    from nimctl.stack import reading

    file = path if path.suffix in (".yml", ".yaml") and not path.is_dir() else path / FILE
    try:
        raw, mark, earlier = source.parse(source.read_text(file), file)
    except source.SourceError as error:
        return Examined(None, tuple(error.problems))
    positions = Positions(mark)
    findings = Findings(file, positions, earlier)
    texts.check(raw, findings)
    tables, table_problems = hardware(file.parent)
    versions, version_problems = reading.read(file.parent)
    sections = shape.validate(raw, findings)
    machines = nodes.check(sections.nodes, tables, findings)
    machines.complete = machines.complete and _whole(raw, sections.nodes)
    contracts = deployments.contracts(file.parent)
    deployments.check(sections.deployments, sections.nodes, machines, contracts, findings)
    surroundings.check_storage(sections.storage, machines, findings)
    surroundings.check_stack(sections.stack, raw, findings)
    layers.check(
        sections.stack,
        sections.nodes,
        sections.deployments,
        tables,
        versions,
        findings,
        sections.connection.port or layers.SSH,
    )
    surroundings.check_secrets(sections.secrets, findings)
    cluster = Cluster(
        name=sections.name,
        connection=sections.connection,
        stack=sections.stack,
        nodes=tuple(_nodes(sections.nodes, machines)),
        storage=tuple(sections.storage.values()),
        deployments=tuple(sections.deployments.values()),
        secrets=sections.secrets,
        kubernetes=sections.kubernetes,
        slurm=sections.slurm,
        file=file,
        positions=positions,
        gpu_models=_used(tables, sections.nodes),
    )
    problems = (*findings.problems(), *table_problems, *version_problems)
    return Examined(cluster if _placeable(problems, raw, sections) else None, problems)


# What a deployment may have wrong without a change to where its ranks and those of others run.
_HARMLESS = frozenset(
    ("name", "model", "image", "contract", "profile", "weights", "served_name", "precision", "args", "env")
) | {"timeouts"}


def _placeable(problems: Sequence[Problem], raw: Any, sections: shape.Sections) -> bool:
    for problem in problems:
        match problem.field:
            case ("deployments", int(), str(name), *_) if name in _HARMLESS:
                continue
            case ("connection" | "stack" | "secrets" | "kubernetes" | "slurm" | "name" | "plugin", *_):
                continue
            case _:
                return False
    # One entry for each in the file, so that later problems name the right one.
    return all(
        len(raw.get(section) or ()) == len(entries)
        for section, entries in (("nodes", sections.nodes), ("deployments", sections.deployments))
    )


def _whole(raw: Any, sound: Mapping[int, NodeEntry]) -> bool:
    """Whether every entry of ``nodes`` is sound."""
    entries = raw.get("nodes") if isinstance(raw, dict) else None
    return isinstance(entries, list) and len(entries) == len(sound)


def _used(tables: Hardware, entries: Mapping[int, NodeEntry]) -> dict[str, Any]:
    names = {entry.gpu.model for entry in entries.values()}
    return {name: row for name, row in tables.gpus.items() if name in names}


def _nodes(entries: Mapping[int, NodeEntry], expanded: nodes.Nodes) -> Iterable[Node]:
    for index, machines in expanded.machines.items():
        entry = entries[index]
        model = entry.gpu.model if entry.gpu.count else None
        fabrics: Sequence[NodeFabric | None] = [None] * len(machines.names)
        if entry.fabric is not None:
            fabric = entry.fabric
            ports = fabric.ports or len(fabric.hcas) or 1
            hcas = tuple(fabric.hcas)
            nowhere: list[str | None] = [None] * len(machines.names)
            fabrics = [
                NodeFabric(fabric.kind, fabric.rate, ports, fabric.interface, address, hcas)
                for address in machines.fabric_addresses or nowhere
            ]
        for name, address, node_fabric in zip(machines.names, machines.addresses, fabrics, strict=True):
            absent = name in expanded.absent
            yield Node(name, address, model, entry.gpu.count, node_fabric, absent, index)
