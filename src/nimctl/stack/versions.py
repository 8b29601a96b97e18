"""Versions of the host stack and what fits what: the tables of ``nimctl/data/stack``, asked.

``load()`` gives the tables that come with nimctl, ``load(folder)`` with the rows of a user's ``stack.yml``
beside a description. Every question that has no answer is a ``RefusedError`` with the reason and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeVar

from nimctl.description.words import nearest
from nimctl.errors import RefusedError
from nimctl.stack.numbers import branch_of, numbers, older
from nimctl.stack.rows import (
    Branch,
    Cdi,
    Device,
    Distribution,
    Doca,
    DriverPackages,
    Generation,
    Marked,
    ModuleKind,
    Nccl,
    NvLink,
    Publisher,
    RdmaPackages,
    Rule,
    Setting,
    Toolkit,
)

Source = Literal["nvidia", "distribution"]
RowType = TypeVar("RowType", bound=Marked)

_TYPES = ("unknown", "new-feature", "production", "lts")


@dataclass(frozen=True)
class Versions:
    """All tables, by name; generations and branches from the oldest to the newest."""

    generations: Mapping[str, Generation]
    devices: Mapping[str, Device]
    drivers: Mapping[str, Branch]
    driver_packages: Mapping[str, DriverPackages]
    nvlink: Mapping[str, NvLink]
    toolkits: Mapping[str, Toolkit]
    cdi: Mapping[str, Cdi]
    docas: Mapping[str, Doca]
    nccls: Mapping[str, Nccl]
    distributions: Mapping[str, Distribution]
    publishers: Mapping[str, Publisher]
    rules: Mapping[str, Rule]
    tuning: Mapping[str, Setting]
    rdma_packages: Mapping[str, RdmaPackages]

    # GPUs

    def device(self, pci_id: str) -> Device | None:
        """The row of a PCI device (``10de:2330`` or ``2330``), None for one that has none."""
        return self.devices.get(_device_id(pci_id))

    def generation_of(self, pci_id: str) -> str | None:
        """The generation of a GPU by its PCI id: by its row, else by the range it lies in; None else."""
        row = self.device(pci_id)
        if row is not None:
            return row.generation
        number = _device_id(pci_id)
        for name, generation in self.generations.items():
            if any(first <= number <= last for first, last in generation.ids):
                return name
        return None

    def generations_of(self, pci_ids: Iterable[str]) -> tuple[str, ...]:
        """The generations of some GPUs, oldest first; those that are not known are left out."""
        found = {self.generation_of(pci_id) for pci_id in pci_ids}
        return tuple(name for name in self.generations if name in found)

    def device_of_model(self, model: str) -> Device | None:
        """The PCI device of a row of gpus.yml, None where no device names it."""
        return next((row for row in self.devices.values() if model in row.models), None)

    @cached_property
    def switches(self) -> Mapping[str, int]:
        """PCI device ids of NVSwitches, to the generation of their NVLink."""
        return {switch: int(number) for number, row in self.nvlink.items() for switch in row.switches}

    # Drivers

    def branch(self, number: int) -> Branch:
        """The row of a driver branch. Raises RefusedError with the known ones."""
        row = self.drivers.get(str(number))
        if row is None:
            known = ", ".join(self.drivers)
            raise RefusedError(
                f"found the unknown driver branch {number}, expected one of {known}"
                f"{nearest(str(number), self.drivers)} (a newer one can be added in a file stack.yml beside "
                "the description)"
            )
        return row

    def branch_of_version(self, version: str) -> Branch:
        """The row of the branch of a version such as 580.126.09. Raises RefusedError."""
        return self.branch(branch_of(version))

    def serves(self, branch: Branch, generation: str) -> bool:
        """Whether a branch has a kind of modules that works with a generation."""
        return bool(self.module_kinds(branch, [generation]))

    def module_kinds(self, branch: Branch, generations: Iterable[str]) -> tuple[ModuleKind, ...]:
        """Kinds of modules that the branch has and that work with all the generations, the best first.

        Kinds that a branch has only by doubtful sources come last.
        """
        rows = [self.generations[name] for name in generations]
        known = [
            row.first_branch <= branch.number and branch.number <= (row.last_branch or branch.number)
            for row in rows
        ]
        if not all(known):
            return ()
        kinds: list[ModuleKind] = []
        for kind in (*_best_first(self, branch), *branch.doubtful_modules):
            if all(_works(row, branch, kind) for row in rows):
                kinds.append(kind)
        return tuple(kinds)

    def choose_modules(
        self, branch: Branch, generations: Sequence[str], wanted: Literal["auto"] | ModuleKind = "auto"
    ) -> ModuleKind:
        """The kind of modules to install. Raises RefusedError where there is none, or not the wanted one."""
        kinds = self.module_kinds(branch, generations)
        if kinds and wanted in ("auto", *kinds):
            return kinds[0] if wanted == "auto" else wanted
        raise RefusedError(self.why_not(branch, generations, wanted))

    def why_not(
        self, branch: Branch, generations: Iterable[str], wanted: Literal["auto"] | ModuleKind = "auto"
    ) -> str:
        """Why a branch, or a kind of modules of it, does not serve these generations; empty where it does."""
        served = list(generations)
        for name in served:
            row = self.generations[name]
            if branch.number < row.first_branch:
                return (
                    f"branch {branch.number} does not know GPUs of the generation {name}, which begins with "
                    f"{row.first_branch} ({row.source})"
                )
            if row.last_branch is not None and branch.number > row.last_branch:
                return (
                    f"branch {branch.number} does not serve GPUs of the generation {name} any more; "
                    f"{row.last_branch} is the last that does ({row.source})"
                )
        kinds = self.module_kinds(branch, served)
        if kinds and wanted in ("auto", *kinds):
            return ""
        if wanted == "auto":
            return (
                f"branch {branch.number} has no kind of kernel modules that works with the GPU generations "
                f"{', '.join(served)} together"
            )
        if wanted not in (*branch.modules, *branch.doubtful_modules):
            return f"branch {branch.number} has no {wanted} kernel modules ({branch.source})"
        for name in served:
            if not _works(self.generations[name], branch, wanted):
                row = self.generations[name]
                return (
                    f"{wanted} kernel modules of branch {branch.number} do not work with GPUs of the "
                    f"generation {name}, which needs {' or '.join(row.modules)} ones ({row.source})"
                )
        return f"branch {branch.number} has no {wanted} kernel modules for {', '.join(served)}"

    def branches_for(
        self,
        generations: Sequence[str],
        distribution: Distribution | None = None,
        source: Source = "nvidia",
    ) -> tuple[Branch, ...]:
        """Branches that serve all generations and exist for a distribution, the one to prefer first.

        NVIDIA's: long-term support before production, the one that is supported longest first. A
        distribution's: as the distribution prefers them.
        """
        if distribution is not None and source == "distribution" and distribution.own_branches:
            rows = [self.branch(number) for number in distribution.own_branches]
        else:
            first = (distribution.first_branch or 0) if distribution is not None else 0
            rows = [row for row in self.drivers.values() if row.number >= first and row.version]
            rows.sort(key=_preference, reverse=True)
        return tuple(row for row in rows if self.module_kinds(row, generations))

    def default_branch(
        self,
        generations: Sequence[str] = (),
        distribution: Distribution | None = None,
        source: Source = "nvidia",
    ) -> Branch:
        """The branch that is installed where the description names none. Raises RefusedError."""
        found = self.branches_for(generations, distribution, source)
        if found:
            return found[0]
        where = f" among the packages of {'NVIDIA' if source == 'nvidia' else 'the distribution'} for "
        raise RefusedError(
            f"no driver branch serves GPUs of {', '.join(generations)}"
            f"{where + distribution.name if distribution else ''}{self._elsewhere(generations, distribution)}"
        )

    def _elsewhere(self, generations: Sequence[str], distribution: Distribution | None) -> str:
        """Where a branch for these GPUs is to be had instead."""
        anywhere = self.branches_for(generations)
        if not anywhere:
            return "; nodes with these GPUs together cannot run one driver"
        own = (
            self.branches_for(generations, distribution, "distribution")
            if distribution is not None and distribution.own_branches
            else ()
        )
        if own:
            return f"; stack.driver.source: distribution has {own[0].number}"
        return f"; {anywhere[0].number} does, on another distribution"

    # What goes with the driver

    def toolkit(self, version: str | None = None) -> Toolkit:
        """A version of the container toolkit, or the default one; unknown ones are like the nearest older."""
        return _version(self.toolkits, version, "container toolkit")

    def cdi_floor(self, toolkit: Toolkit, engine: str) -> str | None:
        """The first version of an engine that reads what a toolkit writes, None where it is not known."""
        row = self.cdi.get(toolkit.cdi)
        return row.engines.get(engine) if row is not None else None

    def nccl(self, version: str | None = None) -> Nccl:
        """A version of NCCL, or the default one; unknown ones are like the nearest older."""
        return _version(self.nccls, version, "NCCL")

    def doca(self, version: str | None, distribution: Distribution) -> Doca:
        """A version of DOCA-OFED for a distribution, or the default one. Raises RefusedError."""
        having = {name: row for name, row in self.docas.items() if distribution.name in row.distributions}
        if version is not None and version in having:
            return having[version]
        if version is None and having:
            defaults = [row for row in having.values() if row.default]
            return defaults[-1] if defaults else max(having.values(), key=lambda row: numbers(row.version))
        known = ", ".join(having) or "none"
        raise RefusedError(
            f"DOCA-OFED {version or ''} is not known for {distribution.name}".replace("  ", " ")
            + f"; known there: {known}. Use stack.rdma.source: inbox, or add a row in a file "
            "stack.yml beside the description"
        )

    def distribution(self, identifier: str, version: str) -> Distribution:
        """The row of a distribution by ID and VERSION_ID of os-release. Raises RefusedError."""
        for row in self.distributions.values():
            if identifier in row.ids and (version == row.version or version.startswith(f"{row.version}.")):
                return row
        known = ", ".join(self.distributions)
        raise RefusedError(
            f"found {identifier or 'an unknown distribution'} {version}".rstrip()
            + f", expected one of {known} (rhel also stands for rocky, almalinux and centos)"
        )

    def publisher(self, name: str) -> Publisher:
        """Who publishes packages: nvidia, container_toolkit, doca. Raises RefusedError."""
        if name not in self.publishers:
            raise RefusedError(f"found the unknown publisher {name}, expected {', '.join(self.publishers)}")
        return self.publishers[name]

    def rule(self, name: str) -> Rule:
        """A rule that holds across layers. Raises KeyError: rules are named by code."""
        return self.rules[name]


def _device_id(pci_id: str) -> str:
    return pci_id.lower().rpartition(":")[2]


def _works(generation: Generation, branch: Branch, kind: ModuleKind) -> bool:
    if kind == "open" and branch.number < (generation.open_from or branch.number + 1):
        return False
    return kind in generation.modules


def _best_first(versions: Versions, branch: Branch) -> Iterable[ModuleKind]:
    """Open modules first from the branch on from which they are the default."""
    opened = not older(str(branch.number), versions.rule("open-by-default").minimum or "0")
    return sorted(branch.modules, key=lambda kind: (kind == "open") != opened)


def _preference(row: Branch) -> tuple[int, str, int]:
    ends = "" if row.end_of_life in (None, "past") else str(row.end_of_life)
    return _TYPES.index(row.type), ends, row.number


_Versioned = TypeVar("_Versioned", Toolkit, Nccl)


def _version(rows: Mapping[str, _Versioned], version: str | None, what: str) -> _Versioned:
    if version is None:
        # A user's own row comes after the shipped ones, and its word is the last.
        return [row for row in rows.values() if row.default][-1]
    if version in rows:
        return rows[version]
    before = [row for row in rows.values() if not older(version, row.version)]
    if not before:
        raise RefusedError(f"found {what} {version}, expected at least {next(iter(rows))}")
    nearest_older = max(before, key=lambda row: numbers(row.version))
    return nearest_older.model_copy(update={"version": version, "default": False})


def load(folder: Path | None = None) -> Versions:
    """The tables that come with nimctl, with the rows of a folder's stack.yml. Raises DescriptionError."""
    # Imported here, because reading gives what is defined above.
    from nimctl.stack import reading

    return reading.load(folder)
