"""How a target writes what is known no sooner than a rank starts there.

Under Kubernetes and Slurm the scheduler chooses the nodes, so a rank's number and its leader's address cannot
stand in a file. A target therefore gives other texts for these fields of a contract's templates, and the
placement is written with them: everything else stays what it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from nimctl.cluster import Node
from nimctl.description.document import Deployment


class Spelling(Protocol):
    """Texts in place of some template fields of one rank; see ``FIELDS`` of the contracts for their names."""

    def __call__(self, deployment: Deployment, node: Node, fields: Mapping[str, str]) -> Mapping[str, str]:
        """The fields that this target writes in another way."""
