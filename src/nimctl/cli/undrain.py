"""``nimctl undrain``: give drained nodes back to service."""

from __future__ import annotations

from typing import Annotated

import typer

from nimctl.cli import running
from nimctl.cli.app import FormatOption, InventoryOption, messages, print_json
from nimctl.cli.drain import described, present
from nimctl.cli.options import DEFAULT_RUNS, NodesArgument, RunDirOption, json_wanted, nodes_and_arguments
from nimctl.rollout.nodes import chosen
from nimctl.rollout.replicas import stopped
from nimctl.run import session
from nimctl.run.target import load


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command()(undrain)


def undrain(
    words: NodesArgument,
    inventory: InventoryOption,
    check: Annotated[bool, typer.Option("--check", help="Change nothing, only predict.")] = False,
    output: FormatOption = "text",
    run_dir: RunDirOption = DEFAULT_RUNS,
) -> None:
    """Give drained NODES back: start the replicas that stopped for them, and wait until these serve.

    A replica that has a rank on another drained node stays stopped. What starts is what the last run put on
    the nodes; a description that changed since then needs `nimctl provision`. Exit codes: 0 done, 1 failed,
    2 rejected and nothing touched. Arguments after -- go to ansible-playbook.
    """
    as_json = json_wanted(output)
    names, arguments = nodes_and_arguments(words)
    target = load(inventory)
    nodes = chosen(names, *present(target))
    outcome = running.run(
        "undrain",
        "undrain",
        target,
        limit=None,
        arguments=arguments,
        runs=run_dir,
        check=check,
        variables={"nimctl_nodes": ",".join(nodes), "nimctl_purpose": "undrain"},
    )
    session.conclude(outcome, messages)
    if as_json:
        replicas = [replica.name for replica in stopped(described(target), nodes)]
        print_json(outcome.summary() | {"undrained": nodes, "replicas": replicas})
    raise typer.Exit(outcome.exit_code)
