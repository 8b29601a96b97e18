"""Which layers a description asks for that the collection at hand has no role for."""

from __future__ import annotations

from pathlib import Path

from nimctl.placement import Placement
from nimctl.stack.inventory import layer_members
from nimctl.stack.layers import LAYERS, ROLES


def without_role(placement: Placement, collection: Path) -> list[str]:
    """One remark for each layer that a run leaves as it is, because no role looks after it yet."""
    members = layer_members(placement.cluster, frozenset(rank.node for rank in placement.ranks))
    return [
        f"stack: a run leaves {layer} on the nodes as it is; this release of nimctl has no role for it yet"
        for layer in LAYERS
        if members[f"nim_layer_{layer}"]
        and not (collection / "roles" / ROLES[layer] / "tasks" / "main.yml").is_file()
    ]
