"""What a contract comes down to: who this rank is, whom it joins and what it serves."""

from __future__ import annotations

from dataclasses import dataclass, field

from .settings import Settings


@dataclass(frozen=True, slots=True)
class Dialect:
    """How an engine's leader speaks HTTP.

    With ``early`` it listens before its group is complete and says that it is not ready; else the port is
    closed until then. ``prefix`` stands before the names of its metrics.
    """

    live: tuple[str, ...]
    ready: tuple[str, ...]
    metrics: tuple[str, ...]
    early: bool = True
    prefix: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """One rank as its variables and arguments describe it.

    ``rank`` is None where the leader hands out numbers in order of arrival; such a rank also leaves
    ``nodes``, ``tensor`` and ``pipeline`` 0 and is told. ``host`` and ``address`` are empty for every address
    and for one found out. ``announce`` is printed by the leader once workers can reach it.
    ``health_port`` is a second port with the same routes.
    """

    contract: str
    dialect: Dialect
    settings: Settings
    rank: int | None
    nodes: int
    tensor: int
    pipeline: int
    leader: str
    rendezvous_port: int
    model: str
    served: tuple[str, ...]
    port: int = 8000
    host: str = ""
    address: str = ""
    health_port: int = 0
    announce: str = ""
    api_key: str = ""
    log_level: str = "INFO"
    warnings: tuple[str, ...] = field(default=())

    @property
    def identity(self) -> dict[str, object]:
        """What the ranks of one group must agree on, as far as this rank knows it."""
        known: dict[str, object] = {"contract": self.contract}
        if self.nodes:
            known |= {"nodes": self.nodes, "tensor": self.tensor, "pipeline": self.pipeline}
            known |= {"model": self.model, **self.settings.model_identity}
        return known
