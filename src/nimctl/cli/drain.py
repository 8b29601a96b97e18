"""``nimctl drain``: take nodes out of service, until they are given back."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nimctl.cli import running
from nimctl.cli.app import FormatOption, InventoryOption, messages, print_json
from nimctl.cli.options import (
    DEFAULT_RUNS,
    AllowGapOption,
    NodesArgument,
    RunDirOption,
    json_wanted,
    nodes_and_arguments,
)
from nimctl.rollout.nodes import chosen
from nimctl.rollout.replicas import Replica, check_gaps, stopped
from nimctl.run import session
from nimctl.run.names import fold
from nimctl.run.target import Target, load


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command()(drain)


def drain(
    words: NodesArgument,
    inventory: InventoryOption,
    why: Annotated[str, typer.Option(help="The reason; status and later runs show it.")] = "",
    allow_gap: AllowGapOption = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing, only predict.")] = False,
    output: FormatOption = "text",
    run_dir: RunDirOption = DEFAULT_RUNS,
) -> None:
    """Stop every replica that has a rank on NODES, and keep it stopped until `nimctl undrain`.

    A replica stops on all its nodes: it cannot serve with a rank missing. Later runs and reboots leave it
    stopped. A drain after which a deployment would not serve is refused unless --allow-gap names it. Exit
    codes: 0 done, 1 failed, or refused because of what was found on the nodes, 2 rejected and nothing
    touched. Arguments after -- go to ansible-playbook.
    """
    as_json = json_wanted(output)
    names, arguments = nodes_and_arguments(words)
    target = load(inventory)
    nodes = chosen(names, *present(target))
    replicas = described(target)
    check_gaps(replicas, nodes, allow_gap or [])
    stops = [replica.name for replica in stopped(replicas, nodes)]
    messages.print(
        f"Drains {fold(nodes)}; stops {', '.join(stops) or 'no replica'}.", markup=False, soft_wrap=True
    )
    outcome = running.run(
        "drain",
        "drain",
        target,
        limit=None,
        arguments=arguments,
        runs=run_dir,
        check=check,
        variables={
            "nimctl_nodes": ",".join(nodes),
            "nimctl_why": why,
            "nimctl_allow_gap": allow_gap or [],
            "nimctl_purpose": "drain",
        },
    )
    session.conclude(outcome, messages)
    if as_json:
        print_json(outcome.summary() | drained_as_json(nodes, stops))
    elif outcome.exit_code == 0 and not check:
        messages.print(f"  Give them back with: nimctl undrain {fold(nodes)} -i {inventory}", markup=False)
    raise typer.Exit(outcome.exit_code)


def present(target: Target) -> tuple[list[str], list[str]]:
    """The nodes of a cluster, and those that are leaving it."""
    nodes = target.nodes.values()
    return [node.name for node in nodes if not node.absent], [node.name for node in nodes if node.absent]


def described(target: Target) -> list[Replica]:
    """The replicas of the description, all of them serving as far as it can tell."""
    nodes: dict[tuple[str, int], list[str]] = {}
    for rank in target.ranks():
        nodes.setdefault((rank.deployment, rank.replica), []).append(rank.node)
    return [Replica(*key, tuple(members)) for key, members in nodes.items()]


def drained_as_json(nodes: list[str], replicas: list[str]) -> dict[str, Any]:
    """What a drain and an undrain add to the shape of a run (docs/reference/json.md, "A run")."""
    return {"drained": nodes, "replicas": replicas}
