"""What a lab's parts are called, and the labels by which they are found again."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nimctl.errors import RejectedError

LABEL = "nimctl.lab"
"""On everything that belongs to a lab; its value is the lab's name. ``down`` goes by it alone."""

CACHE_LABEL = "nimctl.lab.cache"
"""On images and build containers that all labs of a machine share."""

MAX_NODES = 8
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}[a-z0-9]|[a-z]")


@dataclass(frozen=True, slots=True)
class Names:
    """The names inside one lab."""

    lab: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.lab):
            raise RejectedError(
                f"--name {self.lab!r}: a lab's name is at most 32 of a-z, 0-9 and -, begins with a letter "
                "and does not end with -."
            )

    @property
    def label(self) -> str:
        """The label of everything in this lab, as ``key=value``."""
        return f"{LABEL}={self.lab}"

    @property
    def network(self) -> str:
        """The lab's network."""
        return f"nimctl-{self.lab}"

    @property
    def registry(self) -> str:
        """The container and the volume of the registry."""
        return f"nimctl-{self.lab}-registry"

    def container(self, node: str) -> str:
        """The container that is a node."""
        return f"nimctl-{self.lab}-{node}"

    def volumes(self, node: str, driver: str = "container") -> dict[str, str]:
        """The node's volumes, by the folder that each holds.

        Images in a node lie on a volume because overlay file systems do not stack; a virtual machine has its
        disk on one.
        """
        if driver == "vm":
            return {"/vm/state": f"nimctl-{self.lab}-{node}-disk"}
        return {
            "/var/lib/containers": f"nimctl-{self.lab}-{node}-containers",
            "/var/lib/docker": f"nimctl-{self.lab}-{node}-docker",
        }


def node_names(count: int) -> list[str]:
    """``node1`` to ``nodeN``.

    Raises:
        RejectedError: the count is out of range.
    """
    if not 1 <= count <= MAX_NODES:
        raise RejectedError(f"--nodes {count}: a lab has 1 to {MAX_NODES} nodes.")
    return [f"node{number}" for number in range(1, count + 1)]
