"""What runs on the nodes, gathered in one read-only module run, and compared with the placement."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nimctl.contracts import metrics
from nimctl.errors import NimctlError, RejectedError
from nimctl.placement import Rank
from nimctl.run import playbook
from nimctl.run.events import Event, message
from nimctl.run.target import Target

State = Literal[
    "serving",
    "running",
    "starting",
    "not ready",
    "restarting",
    "degraded",
    "failed",
    "stopped",
    "drained",
    "missing",
    "unreachable",
    "extra",
]
GOOD: tuple[State, ...] = ("serving", "running")
"""States of a leader, and of a worker, with which nothing is wrong."""
STARTING: State = "starting"
PATIENCE = 30
"""Seconds after which a node that is asked counts as unreachable, e.g. because it hangs."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one node reported: its ranks by name, or why it said nothing."""

    node: str
    ranks: Mapping[str, Mapping[str, Any]]
    error: str = ""
    drained: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RankStatus:
    """One rank as it was found.

    ``since`` is a Unix time in seconds; ``digest`` the image that runs; ``outdated`` whether it runs from
    another definition than the description's; ``generated`` and ``prompt`` count tokens since the start.
    """

    name: str
    deployment: str
    replica: int
    rank: int
    node: str
    state: State
    since: int | None
    digest: str
    outdated: bool
    restarts: int
    health: str
    generated: int | None
    prompt: int | None
    detail: str

    @property
    def good(self) -> bool:
        """Whether it does what the description asks of it."""
        return self.state in GOOD


def metric_rows() -> dict[str, dict[str, Any]]:
    """Per engine, where a leader shows its tokens (data/metrics.yml)."""
    return {engine: row.model_dump(mode="json", exclude={"progress"}) for engine, row in metrics().items()}


def play(target: Target, metrics: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The one play that looks at all nodes."""
    by_deployment = {item.name: metrics.get(item.engine, {}) for item in target.placement.cluster.deployments}
    return [
        {
            "name": "Look at the ranks",
            "hosts": "nim_cluster_nodes",
            "gather_facts": False,
            "tasks": [
                {
                    "name": "Look",
                    "timeout": PATIENCE,
                    "nimctl.multinode.rank_facts": {
                        "cluster": "{{ nim_cluster }}",
                        "engine": "{{ container_engine_name }}",
                        "ranks": "{{ nim_ranks | default([]) }}",
                        "metrics": by_deployment,
                    },
                }
            ],
        }
    ]


def look(target: Target, limit: str | None = None) -> dict[str, Seen]:
    """Ask every node what it runs.

    Raises:
        RejectedError: Ansible could not start, no node was asked.
        NimctlError: it ended before it had asked.
    """
    seen: dict[str, Seen] = {}
    errors: list[str] = []

    def on_event(event: Event) -> None:
        if event.kind == "ok":
            seen[event.host] = Seen(
                event.host,
                {item["name"]: item for item in event.result["ranks"]},
                drained=event.result.get("drained") or {},
            )
        elif event.kind in ("failed", "unreachable"):
            seen[event.host] = Seen(event.host, {}, message(event.result))
        elif event.kind == "error" or (event.kind == "output" and "error:" in event.text.lower()):
            errors.append(event.text)

    with tempfile.TemporaryDirectory(prefix="nimctl-") as folder:
        file = Path(folder, "look.yml")
        file.write_text(json.dumps(play(target, metric_rows())), encoding="utf-8")
        words = ["ansible-playbook", str(file), "-i", str(target.folder)]
        result = playbook.ansible(words + (["--limit", limit] if limit else []), handler=on_event)
    if result.interrupted:
        raise NimctlError("Stopped before all nodes had answered")
    if not seen and result.code != 0:
        raise RejectedError("Nothing was done, no node was contacted:\n" + "\n".join(errors))
    return seen


def compare(target: Target, seen: Mapping[str, Seen], now: float) -> list[RankStatus]:
    """The status of every wanted rank in the order of the description, then of those too many."""
    found = [_wanted(target, rank, seen.get(rank.node), now) for rank in target.ranks()]
    for node in sorted(seen):
        for name, item in sorted(seen[node].ranks.items()):
            if not item["wanted"]:
                found.append(_extra(target, name, node, item))
    return found


def _wanted(target: Target, rank: Rank, seen: Seen | None, now: float) -> RankStatus:
    item: Mapping[str, Any] = seen.ranks.get(rank.name, {}) if seen else {}
    unit, container = item.get("unit") or {}, item.get("container") or {}
    health, tokens = item.get("health") or {}, item.get("tokens") or {}
    state, detail = _state(target, rank, seen, item, now)
    spec = container.get("spec", "")
    return RankStatus(
        name=rank.name,
        deployment=rank.deployment,
        replica=rank.replica,
        rank=rank.rank,
        node=rank.node,
        state=state,
        since=unit.get("since"),
        digest=container.get("digest", ""),
        outdated=bool(spec) and spec != rank.spec,
        restarts=(item.get("supervisor") or unit).get("restarts", 0),
        health=_health(health),
        generated=tokens.get("generated"),
        prompt=tokens.get("prompt"),
        detail=detail,
    )


def _state(
    target: Target, rank: Rank, seen: Seen | None, item: Mapping[str, Any], now: float
) -> tuple[State, str]:
    logs = f"see {target.command('logs', '--rank', rank.name)}"
    unit, container, health = item.get("unit"), item.get("container"), item.get("health") or {}
    if seen is None:
        return "unreachable", "the node was not asked"
    if seen.error:
        return "unreachable", seen.error
    if not unit:
        return "missing", f"there is no unit on the node; {target.command('provision')} puts it there"
    said = item.get("supervisor")
    if said and said["unit"] == "active" and not seen.drained and not item.get("held"):
        return _supervised(rank, said, health, logs, now)
    if unit["state"] == "failed":
        return "failed", f"the unit ended with {unit['result']}; {logs}"
    if str(unit["sub"]).startswith("auto-restart"):
        return "restarting", f"it ended and is started again; {logs}"
    if unit["state"] == "deactivating":
        return "restarting", f"it is ending; {logs}"
    if unit["state"] not in ("active", "activating", "reloading"):
        if seen.drained:
            return "drained", ""
        if item.get("held"):
            return "drained", f"its replica waits for {', '.join(item['held'])}, which is drained"
        return "stopped", f"the unit is {unit['state']}; {target.command('provision')} starts its replica"
    if unit["state"] == "activating" or not container or container["status"] != "running":
        return STARTING, "the container is being started"
    if rank.health is None:
        return "running", ""
    if health.get("ok"):
        return "serving", ""
    age = now - (unit["since"] or now)
    if age < rank.health.deadline:
        return STARTING, f"not ready yet, may take {rank.health.deadline}s"
    return "not ready", f"{health.get('error') or 'no answer'}; {logs}"


def _supervised(
    rank: Rank, said: Mapping[str, Any], health: Mapping[str, Any], logs: str, now: float
) -> tuple[State, str]:
    """The state of a rank by what its supervisor says of the whole replica."""
    why = f"{said['reason']}; {logs}" if said["reason"] else logs
    if said["state"] == "serving":
        return ("serving" if rank.health else "running"), ""
    if said["state"] == "degraded":
        if rank.rank:
            return "degraded", "stopped until the replica is complete"
        away = ", ".join(said["waits_for"])
        return "degraded", f"waits for {away}, of which nothing is heard; starts by itself when it is back"
    if said["state"] == "without leader":
        return "degraded", f"{rank.leader}, which has rank 0, is not heard of"
    if said["state"] == "failed":
        return "failed", f"given up after too many starts: {why}"
    if said["state"] == "restarting" and said["restarts"]:
        return "restarting", f"with its whole replica: {why}"
    return STARTING, f"may take {rank.health.deadline}s" if rank.health else ""


def _extra(target: Target, name: str, node: str, item: Mapping[str, Any]) -> RankStatus:
    deployment, replica, number = split_name(name)
    unit, container = item.get("unit") or {}, item.get("container") or {}
    return RankStatus(
        name=name,
        deployment=deployment,
        replica=replica,
        rank=number,
        node=node,
        state="extra",
        since=unit.get("since"),
        digest=container.get("digest", ""),
        outdated=False,
        restarts=unit.get("restarts", 0),
        health="",
        generated=None,
        prompt=None,
        detail=f"not in the description; {target.command('provision')} removes it",
    )


def split_name(name: str) -> tuple[str, int, int]:
    """Split the name of a rank into deployment, replica and number: ``r1-0-1`` -> ``("r1", 0, 1)``."""
    deployment, replica, number = name.rsplit("-", 2)
    return deployment, int(replica), int(number)


def _health(health: Mapping[str, Any]) -> str:
    if not health:
        return ""
    if health["ok"]:
        return "ready"
    return str(health["status"] or "no answer")


def verdict(statuses: Iterable[RankStatus]) -> bool:
    """Whether everything that should serve does; what somebody has drained should not."""
    return all(status.good for status in statuses if status.state not in ("extra", "drained"))
