"""``nimctl status``: what runs, since when, and whether it serves."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby, pairwise
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from nimctl.cli.app import FormatOption, InventoryOption, messages, print_json
from nimctl.cli.options import DeploymentArgument, json_wanted, results
from nimctl.errors import DONE, FAILED, NimctlError, RejectedError
from nimctl.run import ranks
from nimctl.run.display import duration
from nimctl.run.ranks import RankStatus
from nimctl.run.target import Target, load

COLORS = {
    "serving": "green",
    "running": "green",
    "starting": "cyan",
    "restarting": "yellow",
    "degraded": "red",
    "not ready": "red",
    "failed": "red",
    "drained": "yellow",
    "stopped": "red",
    "missing": "red",
    "unreachable": "red",
    "extra": "yellow",
}


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command()(status)


def status(
    inventory: InventoryOption,
    deployment: DeploymentArgument = None,
    output: FormatOption = "text",
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks of --watch.", min=1)] = 5.0,
) -> None:
    """Show every rank: its state and since when, its image, health and the tokens it has served.

    Changes nothing on any node. Exit codes: 0 everything serves, 1 something that should serve does not,
    2 rejected.
    """
    as_json = json_wanted(output)
    if watch and as_json:
        raise RejectedError("--watch draws for people; leave it out with --format json")
    target = load(inventory)
    target.ranks(deployment)
    if watch:
        _watch(target, deployment, interval)
        return
    now, statuses, drained = _look(target, deployment)
    if as_json:
        print_json(summary(target, statuses, now, drained))
    else:
        results().print(table(statuses, now))
        for line in [*drain_lines(drained), *remarks(target, statuses)]:
            messages.print(line, markup=False, soft_wrap=True)
    raise typer.Exit(DONE if ranks.verdict(statuses) else FAILED)


def _look(target: Target, deployment: str | None) -> tuple[float, list[RankStatus], dict[str, Any]]:
    seen = ranks.look(target)
    now = time.time()
    statuses = ranks.compare(target, seen, now)
    drained = {node: item.drained for node, item in sorted(seen.items()) if item.drained}
    return now, [item for item in statuses if deployment in (None, item.deployment)], drained


def _watch(target: Target, deployment: str | None, interval: float) -> None:
    with Live(console=results(), screen=False, auto_refresh=False) as live:
        try:
            while True:
                now, statuses, _ = _look(target, deployment)
                live.update(table(statuses, now), refresh=True)
                time.sleep(interval)
        except KeyboardInterrupt:
            return
        except NimctlError as error:
            if isinstance(error, RejectedError):
                raise
            return  # Ctrl-C while Ansible was looking: the normal end of --watch


def summary(
    target: Target,
    statuses: Sequence[RankStatus],
    now: float,
    drained: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The stable JSON shape of a status (docs/reference/json.md, "Status")."""
    urls = {(endpoint.deployment, endpoint.replica): endpoint for endpoint in target.endpoints()}
    wanted = [item for item in statuses if item.state != "extra"]
    deployments = []
    for name, of_deployment in groupby(wanted, key=lambda item: item.deployment):
        replicas = []
        for index, group in groupby(of_deployment, key=lambda item: item.replica):
            members = list(group)
            replicas.append(
                {
                    "index": index,
                    "url": f"{urls[name, index].url}/v1",
                    "model": urls[name, index].model,
                    "serving": all(item.good for item in members),
                    "ranks": [_rank(item, now) for item in members],
                }
            )
        deployments.append({"name": name, "replicas": replicas})
    return {
        "cluster": target.cluster,
        "time": datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
        "serving": ranks.verdict(statuses),
        "deployments": deployments,
        "extra": [_rank(item, now) for item in statuses if item.state == "extra"],
        "drained": [
            {"node": node, "by": record["by"], "since": _time(record["since"]), "why": record["why"]}
            for node, record in (drained or {}).items()
        ],
    }


def _time(since: float) -> str | None:
    return datetime.fromtimestamp(since, UTC).isoformat(timespec="seconds") if since else None


def drain_lines(drained: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Which nodes are drained, by whom and why, and how they come back."""
    return [
        f"{node}: drained"
        + (f" by {record['by']}" if record["by"] else "")
        + (f" since {_time(record['since'])}" if record["since"] else "")
        + (f" ({record['why']})" if record["why"] else "")
        + f"; back with: nimctl undrain {node}"
        for node, record in drained.items()
    ]


def _rank(item: RankStatus, now: float) -> dict[str, Any]:
    since = (
        None if item.since is None else datetime.fromtimestamp(item.since, UTC).isoformat(timespec="seconds")
    )
    return {
        "name": item.name,
        "rank": item.rank,
        "node": item.node,
        "state": item.state,
        "since": since,
        "seconds": None if item.since is None else max(0, int(now - item.since)),
        "digest": item.digest or None,
        "outdated": item.outdated,
        "restarts": item.restarts,
        "health": item.health or None,
        "tokens": {"generated": item.generated, "prompt": item.prompt},
        "detail": item.detail or None,
    }


def table(statuses: Sequence[RankStatus], now: float) -> RenderableType:
    """The ranks as people read them: by deployment and replica, the leader first; no empty columns."""
    if not statuses:
        return Text("No deployment in the description, and no rank on any node.")
    columns = {heading: [cell(item, now) for item in statuses] for heading, cell in COLUMNS.items()}
    for row, (before, item) in enumerate(pairwise([None, *statuses]), 0):
        if before and item and (before.deployment, before.replica) == (item.deployment, item.replica):
            columns["DEPLOYMENT"][row] = columns["REPLICA"][row] = ""
    shown = {heading: cells for heading, cells in columns.items() if any(str(cell) for cell in cells)}
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in shown:
        grid.add_column(heading, justify="right" if heading in RIGHT else "left", overflow="fold")
    for cells in zip(*shown.values(), strict=True):
        grid.add_row(*cells)
    return grid


def _since(item: RankStatus, now: float) -> str:
    return "" if item.since is None else f"{duration(max(0, now - item.since))} ago"


def _state(item: RankStatus, now: float) -> Text:
    return Text(item.state + (", outdated" if item.outdated else ""), COLORS[item.state])


RIGHT = ("REPLICA", "RESTARTS", "TOKENS")
COLUMNS: dict[str, Callable[[RankStatus, float], str | Text]] = {
    "DEPLOYMENT": lambda item, now: escape(item.deployment),
    "REPLICA": lambda item, now: str(item.replica),
    "RANK": lambda item, now: f"{item.rank} leader" if item.rank == 0 else str(item.rank),
    "NODE": lambda item, now: escape(item.node),
    "STATE": _state,
    "SINCE": _since,
    "RESTARTS": lambda item, now: str(item.restarts or ""),
    "IMAGE": lambda item, now: item.digest.removeprefix("sha256:")[:12],
    "HEALTH": lambda item, now: item.health,
    "TOKENS": lambda item, now: "" if item.generated is None else f"{item.generated:,}",
}


def remarks(target: Target, statuses: Sequence[RankStatus]) -> list[str]:
    """What is wrong and what to do about it, one line each, the same thing once."""
    lines = []
    for (node, detail), group in groupby(statuses, key=lambda item: (item.node, item.detail)):
        names = ", ".join(item.name for item in group)
        if detail:
            lines.append(f"{names} on {node}: {detail}")
    outdated = [item.name for item in statuses if item.outdated]
    if outdated:
        renew = f"{target.command('provision')} renews it"
        lines.append(f"{', '.join(outdated)}: runs from an older definition; {renew}")
    return lines
