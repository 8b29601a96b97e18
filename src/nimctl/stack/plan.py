"""What a planner of a layer is given, and what it gives.

A planner is ``plan(question) -> LayerPlan``, pure. It raises ``RefusedError`` where what is wanted cannot
be, and ``question.offers.versions(...)`` raises ``AskError`` where it needs to know what a repository
offers and nobody has asked yet: the caller then asks on the host, without changing it, and calls the
planner again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from nimctl.errors import RefusedError
from nimctl.stack import versions
from nimctl.stack.host import Host
from nimctl.stack.repositories import Repository
from nimctl.stack.versions import Versions

__all__ = [
    "COSTS",
    "AskError",
    "Cost",
    "LayerPlan",
    "Mode",
    "Offers",
    "Question",
    "RefusedError",
    "Repository",
]

Mode = Literal["managed", "verify", "ignore"]
Cost = Literal["none", "restart", "drain", "reboot"]
"""What a change costs those who use the node, in rising order: nothing, ranks that start again, a node
without ranks for a while, a reboot."""

COSTS: tuple[Cost, ...] = ("none", "restart", "drain", "reboot")


class AskError(Exception):
    """A planner needs to know which versions a repository offers of these packages."""

    def __init__(self, repository: Repository, names: Sequence[str]) -> None:
        self.repository = repository
        self.names = tuple(names)
        super().__init__(f"{repository.id}: {', '.join(names)}")


@dataclass(frozen=True, slots=True)
class Offers:
    """What repositories were found to offer: repository id to package name to versions, newest first."""

    known: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    def versions(self, repository: Repository, names: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Versions of each package, empty where the repository has none of that name. Raises AskError."""
        offered = self.known.get(repository.id, {})
        if any(name not in offered for name in names):
            raise AskError(repository, names)
        return {name: offered[name] for name in names}


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """What one layer does on one host.

    ``values`` is what the tasks of the role read: literal, JSON types only. ``will`` says in sentences
    what a run would change there, in the words of the field (empty: already as wanted). ``pending`` says
    what cannot be done now and what it waits for. ``notes`` are for people and need no action.
    """

    layer: str
    values: Mapping[str, Any] = field(default_factory=dict)
    will: tuple[str, ...] = ()
    cost: Cost = "none"
    pending: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What a planner decides from.

    ``settings`` is the layer's part of a description (a model of ``nimctl.description.document``);
    ``context`` is what the caller knows besides the host, as literal values: ``locked`` (versions from
    the lock by layer), ``mirrors``, ``reboot_ok``, ``drained``, ``cluster`` and what a layer's own
    documentation names. ``plans`` are those of the layers before this one, where they are planned
    together. ``versions`` are the tables of what fits what, the user's own rows included.
    """

    host: Host
    settings: Any
    offers: Offers = field(default_factory=Offers)
    context: Mapping[str, Any] = field(default_factory=dict)
    plans: Mapping[str, LayerPlan] = field(default_factory=dict)
    versions: Versions = field(default_factory=versions.load)
