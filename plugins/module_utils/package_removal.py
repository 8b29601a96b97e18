"""Which packages may go, so that a removal takes out what an installation brought and nothing else."""

from __future__ import annotations

from typing import Protocol


class Manager(Protocol):
    """What a package manager must know about a removal."""

    def needless_without(self, names: list[str], brought: list[str]) -> list[str]:
        """Those of ``brought`` that nobody needs or has asked for once ``names`` are gone."""

    def takes_along(self, names: list[str]) -> list[str]:
        """Every other package that would have to go with these."""


def removable(manager: Manager, names: list[str], brought: list[str]) -> list[str]:
    """Those of our packages whose removal takes nobody else's with it.

    ``names`` were asked for by name, ``brought`` came as their dependencies. A package that something else on
    the node has come to need stays, and with it what it needs itself.
    """
    left = [*names, *manager.needless_without(names, brought)]
    while left and (others := set(manager.takes_along(left))):
        alone = [name for name in left if others & set(manager.takes_along([name]))]
        # Where only several together would take another along, the last of them stays.
        kept = alone or left[-1:]
        left = [name for name in left if name not in kept]
    return left
