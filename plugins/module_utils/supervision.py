"""Where the supervisor of a rank has its things on a node, and what it is told.

The supervisor itself is ``supervise.py`` of the role nim_rank; it imports nothing of this collection.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.files import STATE, read
from ansible_collections.nimctl.multinode.plugins.module_utils.ranks import (
    container_name,
    replica_of,
    unit_name,
)

METRICS = "/var/lib/nimctl/metrics"
"""Read by the textfile collector of the node exporter."""
PATIENCE, MISSES = 15, 4
"""Seconds for one answer, and answers that have to fail to come, before a replica counts as silent."""


def supervisor_unit(rank: str) -> str:
    """The systemd unit of a rank's supervisor."""
    return f"nimctl-supervise-{rank}.service"


def script_path(cluster: str) -> str:
    """The script; each cluster has its own, so that two controllers may be of different age."""
    return f"/usr/local/lib/nimctl/{cluster}/supervise.py"


def settings_path(cluster: str, rank: str) -> str:
    """What a supervisor is told."""
    return f"/etc/nimctl/ranks/{cluster}/{rank}.json"


def key_path(cluster: str, replica: str) -> str:
    """The key with which the supervisors of a replica know each other."""
    return f"/etc/nimctl/secrets/{cluster}/{replica}.key"


def state_path(cluster: str, rank: str) -> str:
    """What a supervisor keeps, and what status shows."""
    return str(STATE / cluster / "replicas" / f"{rank}.json")


def metrics_path(rank: str) -> str:
    """The replica's state as metrics."""
    return f"{METRICS}/nimctl-{rank}.prom"


def is_supervised(rank: Mapping[str, Any]) -> bool:
    """Whether a rank of ``nim_ranks`` has a supervisor."""
    return bool(rank.get("supervision"))


def state(cluster: str, rank: str) -> dict[str, Any]:
    """What the supervisor of a rank said last; empty where there is none, or none yet."""
    try:
        content = json.loads(read(state_path(cluster, rank)) or "{}")
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def settings(cluster: str, engine: str, rank: Mapping[str, Any]) -> dict[str, Any]:
    """What the supervisor of an entry of ``nim_ranks`` is told."""
    how = rank["supervision"]
    told: dict[str, Any] = {
        "address": rank["address"],
        "cluster": cluster,
        "container": container_name(rank["name"]),
        "deployment": rank["deployment"],
        "engine": f"/usr/bin/{engine}",
        "key": key_path(cluster, replica_of(rank)),
        "leader": how["leader"],
        "leader_address": rank["leader_address"],
        "nodes": rank["nodes"],
        "port": how["port"],
        "rank": rank["rank"],
        "replica": replica_of(rank),
        "replica_index": rank["replica"],
        "rules": {},
        "state": state_path(cluster, rank["name"]),
        "unit": unit_name(rank["name"]),
    }
    if rank["rank"] == 0:
        told |= {
            "handshake": {"pattern": how["handshake"], "expected": dict(how["expected"])}
            if how["handshake"]
            else None,
            "health": dict(rank["health"]),
            "members": {str(number): node for number, node in enumerate(how["members"], start=1)},
            "metrics": metrics_path(rank["name"]),
            "progress": {"counters": list(how["counters"]), "paths": list(how["paths"])},
            "rules": {
                "deadline": rank["health"]["deadline"],
                "misses": MISSES,
                "patience": PATIENCE,
                "quiet": how["silent"] - PATIENCE * MISSES,
            },
        }
    return told
