"""``nimctl provision``: make the machines match the description and start what it says."""

from __future__ import annotations

from typing import Annotated

import typer

from nimctl.cli import running
from nimctl.cli.app import FormatOption, InventoryOption, messages, print_json
from nimctl.cli.options import (
    DEFAULT_RUNS,
    AnsibleArguments,
    LimitOption,
    RunDirOption,
    ansible_arguments,
    json_wanted,
    show_notes,
)
from nimctl.resolve import check_runnable
from nimctl.run import secrets, session
from nimctl.run.target import Endpoint, Target, load


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command()(provision)


def provision(
    inventory: InventoryOption,
    limit: LimitOption = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing, only predict.")] = False,
    output: FormatOption = "text",
    run_dir: RunDirOption = DEFAULT_RUNS,
    arguments: AnsibleArguments = None,
) -> None:
    """Make the nodes match the description and start its deployments.

    The description is checked before any node is contacted. Exit codes: 0 done, 1 failed, 2 rejected and
    nothing touched, 3 done but something is pending, 130 stopped by Ctrl-C.
    """
    as_json = json_wanted(output)
    words = ansible_arguments(arguments)
    target = load(inventory)
    show_notes(target)
    check_runnable(target.placement)
    secrets.check(target.placement, target.limited(limit))
    outcome = running.run(
        "provision", "site", target, limit=limit, arguments=words, runs=run_dir, check=check
    )
    session.conclude(outcome, messages)
    serves = outcome.exit_code == 0 and not check
    if as_json:
        print_json(outcome.summary() | {"endpoints": endpoints(target) if serves else []})
    elif serves:
        show_endpoints(target)
    raise typer.Exit(outcome.exit_code)


def endpoints(target: Target) -> list[dict[str, object]]:
    """The endpoints as JSON: deployment, replica, node, url, model."""
    return [
        {
            "deployment": endpoint.deployment,
            "replica": endpoint.replica,
            "node": endpoint.node,
            "url": f"{endpoint.url}/v1",
            "model": endpoint.model,
        }
        for endpoint in target.endpoints()
    ]


def show_endpoints(target: Target) -> None:
    """Say what serves where, and how to ask it."""
    found = target.endpoints()
    if not found:
        messages.print("The description has no deployments; nothing serves.", soft_wrap=True)
        return
    messages.print("\nServing:", style="bold")
    width = max(len(_title(endpoint)) for endpoint in found)
    for endpoint in found:
        messages.print(
            f"  {_title(endpoint):{width}}  {endpoint.url}/v1  {endpoint.model} on {endpoint.node}",
            markup=False,
            soft_wrap=True,
        )
    messages.print("\nAsk it:", style="bold")
    messages.print(f"  {found[0].curl()}", markup=False, soft_wrap=True)
    messages.print(
        f"\nLook around: {target.command('status')}   {target.command('test')}", markup=False, soft_wrap=True
    )


def _title(endpoint: Endpoint) -> str:
    return f"{endpoint.deployment}/{endpoint.replica}"
