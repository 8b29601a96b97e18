"""The ranks that stop and start together with those of one node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import replica_group, replica_of

DOCUMENTATION = r"""
name: replica_seats
short_description: Where the replicas of a node's ranks have their ranks
description:
  - A replica serves with all its ranks or not at all. For the ranks of one node, gives every node that has
    ranks of the same replicas, the node itself included, with those ranks.
version_added: 0.1.0
positional: groups, hostvars
options:
  _input:
    description: C(nim_ranks) of the node.
    type: list
    elements: dict
    required: true
  groups:
    description: The groups of the inventory.
    type: dict
    required: true
  hostvars:
    description: The variables of all nodes.
    type: dict
    required: true
author: [The nimctl authors]
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ nim_ranks | nimctl.multinode.replica_seats(groups, hostvars) }}"
"""

RETURN = r"""
_value:
  description: One entry per node with C(node), C(names), C(leaders), C(workers) and C(ranks).
  type: list
  elements: dict
"""


def replica_seats(
    ranks: Sequence[Mapping[str, Any]],
    groups: Mapping[str, Sequence[str]],
    hostvars: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """One entry for each node, in the order of the replicas' groups."""
    replicas = {replica_of(rank): replica_group(rank) for rank in ranks}
    nodes = dict.fromkeys(node for group in replicas.values() for node in groups.get(group, ()))
    seats = []
    for node in nodes:
        own = [rank for rank in hostvars[node].get("nim_ranks") or [] if replica_of(rank) in replicas]
        if not own:
            continue
        seats.append(
            {
                "node": node,
                "names": [rank["name"] for rank in own],
                "leaders": [rank["name"] for rank in own if rank["rank"] == 0],
                "workers": [rank["name"] for rank in own if rank["rank"] != 0],
                "ranks": own,
            }
        )
    return seats


class FilterModule:
    """Filter plugin."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"replica_seats": replica_seats}
