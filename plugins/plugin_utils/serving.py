"""What an inventory, and what was found on its nodes, say of replicas; the words that variables hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nimctl.rollout.replicas import Replica, replicas_of


def words(value: Any) -> list[str]:
    """A list, or its members in one text with commas, as ``-e`` gives it."""
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return [str(word) for word in value or []]


def replicas(variables: Mapping[str, Any], seen: str = "") -> list[Replica]:
    """The replicas of the inventory; ``seen`` names the variable with what ``rank_facts`` found."""
    nodes = variables["groups"].get("nim_nodes", [])
    hostvars = variables["hostvars"]
    ranks = {node: hostvars[node].get("nim_ranks") or [] for node in nodes}
    if not seen:
        return replicas_of(ranks)
    found = {node: (hostvars[node].get(seen) or {}).get("ranks") or [] for node in nodes}
    return replicas_of(ranks, found)
