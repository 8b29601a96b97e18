"""``nimctl provision``: make the machines match the description and start what it says."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from nimctl.cli import running
from nimctl.cli.app import FormatOption, InventoryOption, messages, print_json
from nimctl.cli.drain import described
from nimctl.cli.options import (
    DEFAULT_RUNS,
    AllowGapOption,
    AnsibleArguments,
    LimitOption,
    RunDirOption,
    ansible_arguments,
    json_wanted,
    show_notes,
)
from nimctl.resolve import check_runnable
from nimctl.rollout import batches, window
from nimctl.rollout.replicas import check_known
from nimctl.run import secrets, session
from nimctl.run.target import Endpoint, Target, load


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command()(provision)


def provision(
    inventory: InventoryOption,
    limit: LimitOption = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing, only predict.")] = False,
    batch: Annotated[
        str | None,
        typer.Option(
            metavar="N|PERCENT",
            help="Nodes that leave service at the same time, after one canary; default: 25%.",
        ),
    ] = None,
    max_fail: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Nodes that may fail before no batch begins; default: 0."),
    ] = None,
    start_nothing_after: Annotated[
        str | None,
        typer.Option(metavar="HH:MM", help="No batch begins after this time of day, local to this machine."),
    ] = None,
    allow_gap: AllowGapOption = None,
    from_bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="BUNDLE", help="Take packages and images from this folder or tar of nimctl bundle alone."
        ),
    ] = None,
    output: FormatOption = "text",
    run_dir: RunDirOption = DEFAULT_RUNS,
    arguments: AnsibleArguments = None,
) -> None:
    """Make the nodes match the description and start its deployments.

    Nodes whose change ranks do not survive leave service in batches where the description has `reboot_ok:
    true`: drained, changed, rebooted, verified and given back before the next. A deployment keeps a serving
    replica unless --allow-gap names it. What does not begin waits, and the next run goes on with it.

    The description is checked before any node is contacted. Exit codes: 0 done, 1 failed, 2 rejected and
    nothing touched, 3 done but something is pending, 130 stopped by Ctrl-C.
    """
    as_json = json_wanted(output)
    words = ansible_arguments(arguments)
    target = load(inventory)
    show_notes(target)
    check_runnable(target.placement)
    secrets.check(target.placement, target.limited(limit), pulls=from_bundle is None)
    outcome = running.run(
        "provision",
        "site",
        target,
        limit=limit,
        arguments=words,
        runs=run_dir,
        check=check,
        variables={
            **window_variables(target, batch, max_fail, start_nothing_after, allow_gap),
            **(bundle_variables(from_bundle, inventory) if from_bundle else {}),
        },
    )
    session.conclude(outcome, messages)
    serves = outcome.exit_code == 0 and not check
    if as_json:
        print_json(outcome.summary() | {"endpoints": endpoints(target) if serves else []})
    elif serves:
        show_endpoints(target)
    raise typer.Exit(outcome.exit_code)


def bundle_variables(bundle: Path, inventory: Path) -> dict[str, object]:
    """A bundle as variables of the playbook, after every file of it was checked.

    Raises:
        RejectedError: it was altered, or lacks what the description needs.
    """
    # Imported here: most runs have no bundle, and this loads Ansible.
    from nimctl.cli.bundle import checked

    store = checked(bundle, inventory)
    return {"nimctl_bundle": str(bundle.absolute()), "nimctl_bundle_verified": store.id}


def window_variables(
    target: Target,
    batch: str | None,
    max_fail: int | None,
    start_nothing_after: str | None,
    allow_gap: list[str] | None,
) -> dict[str, object]:
    """The options of a change window as variables of the playbook.

    Raises:
        RejectedError: one of them cannot be.
    """
    if batch is not None:
        batches.size_of(batch, len(target.nodes))
    if start_nothing_after is not None:
        window.deadline(start_nothing_after, datetime.now())
    check_known(described(target), allow_gap or [])
    given = {
        "nimctl_batch": batch,
        "nimctl_max_fail": max_fail,
        "nimctl_start_nothing_after": start_nothing_after,
        "nimctl_allow_gap": allow_gap or None,
    }
    return {name: value for name, value in given.items() if value is not None}


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
