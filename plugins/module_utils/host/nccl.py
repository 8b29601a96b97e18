"""What NCCL is told on the node itself."""

from __future__ import annotations

from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

CONFIGURATION = "/etc/nccl.conf"


def read(tree: Tree) -> dict[str, str]:
    """The variables of ``/etc/nccl.conf``; of a name that is there twice the last, as NCCL takes it."""
    pairs = (line.partition("=") for line in tree.lines(CONFIGURATION))
    return {name.strip(): value.strip() for name, equals, value in pairs if equals}
