"""``nimctl destroy``: take the ranks, and what was set up for them, off the nodes again."""

from __future__ import annotations

import sys
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
)
from nimctl.errors import RejectedError
from nimctl.run import session
from nimctl.run.names import fold
from nimctl.run.target import Target, load

PURGE = "nimctl_purge"
"""The variable of playbooks/destroy.yml that also removes models and caches."""

STACK = "nimctl_stack"
"""The variable of playbooks/destroy.yml that also removes drivers, RDMA and tuning."""


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command()(destroy)


def destroy(
    inventory: InventoryOption,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove models and caches as well; they stay otherwise.")
    ] = False,
    stack: Annotated[
        bool,
        typer.Option(
            "--stack",
            help="Remove drivers, RDMA and tuning that were installed as well; they stay otherwise.",
        ),
    ] = False,
    limit: LimitOption = None,
    output: FormatOption = "text",
    run_dir: RunDirOption = DEFAULT_RUNS,
    arguments: AnsibleArguments = None,
) -> None:
    """Remove every rank of the cluster and what was set up for them; asks first.

    Models stay on the nodes unless --purge, drivers, RDMA and tuning unless --stack. Exit codes: 0 done,
    1 failed, 2 rejected or not confirmed, 3 done, but something was kept for others or a reboot is pending.
    """
    as_json = json_wanted(output)
    words = ansible_arguments(arguments)
    target = load(inventory)
    nodes = target.limited(limit) or list(target.nodes)
    for line in consequences(target, nodes, purge=purge, stack=stack):
        messages.print(line, markup=False, soft_wrap=True)
    if not yes:
        _confirm(target)
    outcome = running.run(
        "destroy",
        "destroy",
        target,
        limit=limit,
        arguments=words,
        runs=run_dir,
        variables={name: True for name, asked in ((PURGE, purge), (STACK, stack)) if asked},
    )
    session.conclude(outcome, messages)
    if as_json:
        print_json(outcome.summary())
    raise typer.Exit(outcome.exit_code)


def consequences(target: Target, nodes: list[str], *, purge: bool, stack: bool) -> list[str]:
    """What goes and what stays, in lines."""
    ranks = [rank for rank in target.placement.ranks if rank.node in nodes]
    lines = [f"From the cluster {target.cluster}, on {len(nodes)} nodes ({fold(nodes)}), this removes:"]
    for deployment in target.placement.cluster.deployments:
        names = [rank.name for rank in ranks if rank.deployment == deployment.name]
        if names:
            lines.append(f"  {deployment.name} ({deployment.model}): stops serving; ranks {', '.join(names)}")
    lines.append(
        "  what was set up for ranks: units, settings and the container engine where nimctl installed it"
    )
    stays = []
    if stack:
        lines.append(
            "  drivers, Fabric Manager, container toolkit, GPUDirect, NCCL, RDMA and tuning where nimctl "
            "installed them; what is loaded stays until the next boot"
        )
    else:
        stays.append("Drivers, RDMA and tuning stay (--stack removes those that nimctl installed).")
    if purge:
        lines.append("  models and caches as well")
    else:
        stays.append("Models and caches stay (--purge removes them too).")
    return lines + stays


def _confirm(target: Target) -> None:
    if not _somebody_is_there():
        raise RejectedError("Nothing was done: there is nobody to ask; add --yes if you mean it")
    typed = typer.prompt(f"Type the name of the cluster ({target.cluster}) to go on", default="", err=True)
    if typed.strip() != target.cluster:
        raise RejectedError("Nothing was done: that is not the name of the cluster")


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()
