"""What ends a rank, and what a rank says when it does."""

from __future__ import annotations

from collections.abc import Sequence


class RankError(Exception):
    """A rank cannot go on; it logs the message and exits with ``exit_code``."""

    exit_code = 1


class LaunchError(RankError):
    """The variables or arguments of this rank break its contract; carries one line for each fault."""

    def __init__(self, problems: Sequence[str], exit_code: int = 1) -> None:
        self.problems = tuple(problems)
        self.exit_code = exit_code
        super().__init__("\n".join(problems))


class LinkLostError(Exception):
    """The connection to another rank broke or stayed silent for too long."""

    def __init__(self, peer: int, reason: str) -> None:
        self.peer = peer
        super().__init__(f"connection to rank {peer}: {reason}")


class EngineDeadError(Exception):
    """The group of ranks can answer no more requests."""
