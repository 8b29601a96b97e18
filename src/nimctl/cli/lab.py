"""``nimctl lab``: machines to try everything on."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn

import typer
from rich.table import Table

from nimctl.cli.app import FormatOption, messages, print_json
from nimctl.errors import RejectedError
from nimctl.lab import faults
from nimctl.lab.command import interrupt
from nimctl.lab.images import cache_folder
from nimctl.lab.lock import locked
from nimctl.lab.status import existing

lab = typer.Typer(
    no_args_is_help=True, help="Start nodes to try everything on: containers that behave like bare machines."
)

NameOption = Annotated[str, typer.Option("--name", help="Name of the lab; several can run at the same time.")]
OptionalInventory = Annotated[
    Path | None,
    typer.Option("-i", "--inventory", help="Inventory folder of the lab. [default: inventories/NAME]"),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(lab, name="lab")


def _say(text: str) -> None:
    messages.print(f"[bold]lab:[/bold] {text}", markup=True, soft_wrap=True)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """On Ctrl-C, end what runs in threads too, so that nobody has to wait for it."""
    interrupt()
    raise KeyboardInterrupt


def _checked(output: str) -> bool:
    """Whether JSON is wanted."""
    if output not in ("text", "json"):
        raise RejectedError(f"--format {output}: text or json.")
    return output == "json"


@lab.command()
def up(
    nodes: Annotated[
        int | None, typer.Option("--nodes", help="1 to 8. [default: as it is, 2 for a new lab]")
    ] = None,
    name: NameOption = "lab",
    container_engine: Annotated[
        str | None,
        typer.Option(
            "--container-engine", help="What the description asks for in the nodes: podman or docker."
        ),
    ] = None,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", help="Stand-ins for GPUs per node: device files that are not GPUs."),
    ] = None,
    driver: Annotated[
        str | None,
        typer.Option(
            "--driver",
            help="What the nodes are: container, or vm for virtual machines with a kernel of their own.",
        ),
    ] = None,
    inventory: OptionalInventory = None,
    subnet: Annotated[
        str | None, typer.Option("--subnet", help="The lab's network. [default: a free /24]")
    ] = None,
    output: FormatOption = "text",
) -> None:
    """Start a lab, or make the one that runs match the options."""
    from nimctl.lab import up as lab_up

    as_json = _checked(output)
    folder = inventory or Path("inventories") / name
    signal.signal(signal.SIGINT, _interrupt)
    try:
        result = lab_up.up(lab_up.Wish(name, nodes, container_engine, gpus, folder, subnet, driver), _say)
    except KeyboardInterrupt:
        _say(
            f"interrupted. `nimctl lab up --name {name}` carries on; "
            f"`nimctl lab down --name {name}` removes what there is."
        )
        raise typer.Exit(130) from None
    if as_json:
        print_json(result.as_json())
        return
    for node, (address, change) in result.nodes.items():
        messages.print(f"  {node:<10} {address:<15} {change}")
    messages.print(f"  {'registry':<10} {result.registry:<15} holds {result.image.rpartition('/')[2]}")
    _say(f"{result.name} is up after {result.seconds:.1f} s, described in {result.inventory}/cluster.yml")


@lab.command()
def demo(
    nodes: Annotated[int | None, typer.Option("--nodes", help="As `lab up` takes it.")] = None,
    name: NameOption = "lab",
) -> None:
    """Start a lab, provision it, and show a completion and which rank holds which layers."""
    from nimctl.cli.provision import provision
    from nimctl.lab import demo as lab_demo
    from nimctl.lab import up as lab_up

    folder = Path("inventories") / name
    lab_up.up(lab_up.Wish(name, nodes, None, None, folder, None), _say)
    try:
        provision(folder)
    except typer.Exit as done:
        if done.exit_code:
            raise
    lab_demo.show(folder, name, messages)


@lab.command()
def down(
    name: NameOption = "lab",
    inventory: OptionalInventory = None,
    images: Annotated[
        bool, typer.Option("--images", help="Remove the images that all labs share, too.")
    ] = False,
    output: FormatOption = "text",
) -> None:
    """Remove a lab completely, also one whose start was interrupted."""
    from nimctl.lab import down as lab_down

    as_json = _checked(output)
    result = lab_down.down(name, inventory, images, _say)
    if as_json:
        print_json(result.as_json())
        return
    gone = len(result.containers) + len(result.volumes) + len(result.networks) + len(result.files)
    _say(f"{name} is gone" if gone else f"there is nothing of {name}")


@lab.command()
def status(name: NameOption = "lab", output: FormatOption = "text") -> None:
    """Show the nodes, their addresses, whether SSH answers, and the faults in force."""
    from nimctl.lab import status as lab_status

    as_json = _checked(output)
    result = lab_status.status(name)
    if as_json:
        print_json(result.as_json())
        return
    table = Table(title=f"lab {result.name} ({result.engine}, {result.subnet})", title_justify="left")
    for column in ("node", "address", "state", "ssh", "faults"):
        table.add_column(column)
    for row in result.rows:
        table.add_row(row.name, row.address, row.state, row.ssh, "; ".join(row.faults))
    typer.echo(_rendered(table), nl=False)


@lab.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def shell(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="Name of the node, or registry.")],
    name: NameOption = "lab",
) -> None:
    """Open a root shell on a node, or run a command there: nimctl lab shell node1 -- uptime."""
    from nimctl.lab import shell as lab_shell

    argv = lab_shell.argv(name, node, context.args, sys.stdin.isatty() and sys.stdout.isatty())
    sys.stdout.flush()
    os.execvp(argv[0], argv)  # noqa: S606 (the point is to become that shell)


fault = typer.Typer(no_args_is_help=True, help="Make something go wrong, and check that it did.")
lab.add_typer(fault, name="fault")

NodeArgument = Annotated[str, typer.Argument(metavar="NODE", help="Name of a node.")]


@contextmanager
def _faulty(name: str) -> Iterator[faults.Field]:
    """The lab that faults are made in, for nobody else meanwhile."""
    with locked(cache_folder() / f"{name}.lock", lambda holder: _say(f"waiting: {holder} works on this lab")):
        yield existing(name)


def _tell(outcome: faults.Outcome, as_json: bool) -> None:
    if as_json:
        print_json(outcome.as_json())
    else:
        _say(f"{outcome.fault}: {'done' if outcome.changed else 'was in force already'}")


@fault.command("kill-rank")
def kill_rank(
    rank: Annotated[str, typer.Argument(metavar="DEPLOYMENT-REPLICA-RANK", help="For example demo-0-1.")],
    name: NameOption = "lab",
    output: FormatOption = "text",
) -> None:
    """Kill a rank's process with SIGKILL, on whichever node it runs."""
    as_json = _checked(output)
    with _faulty(name) as field:
        _tell(faults.kill_rank(field, rank), as_json)


@fault.command()
def stop(node: NodeArgument, name: NameOption = "lab", output: FormatOption = "text") -> None:
    """Take a node's power away."""
    as_json = _checked(output)
    with _faulty(name) as field:
        _tell(faults.stop(field, node), as_json)


@fault.command()
def freeze(node: NodeArgument, name: NameOption = "lab", output: FormatOption = "text") -> None:
    """Let a node stand still: its connections stay open, and nobody answers on them."""
    as_json = _checked(output)
    with _faulty(name) as field:
        _tell(faults.freeze(field, node), as_json)


@fault.command()
def cut(
    node: NodeArgument, other: NodeArgument, name: NameOption = "lab", output: FormatOption = "text"
) -> None:
    """Cut the network between two nodes, also for connections that exist."""
    as_json = _checked(output)
    with _faulty(name) as field:
        _tell(faults.cut(field, node, other), as_json)


@fault.command()
def lose(
    node: NodeArgument,
    other: NodeArgument,
    percent: Annotated[int, typer.Argument(metavar="PERCENT", help="1 to 99.")],
    name: NameOption = "lab",
    output: FormatOption = "text",
) -> None:
    """Lose a share of the packets between two nodes."""
    as_json = _checked(output)
    with _faulty(name) as field:
        _tell(faults.lose(field, node, other, percent), as_json)


@fault.command()
def slow(
    node: NodeArgument,
    rate: Annotated[str, typer.Argument(metavar="RATE", help="For example 200mbit.")],
    name: NameOption = "lab",
    output: FormatOption = "text",
) -> None:
    """Slow a node's link: limit what it sends."""
    as_json = _checked(output)
    with _faulty(name) as field:
        _tell(faults.slow(field, node, rate), as_json)


@lab.command()
def heal(
    nodes: Annotated[
        list[str] | None, typer.Argument(metavar="[all | NODE...]", help="What to heal.")
    ] = None,
    name: NameOption = "lab",
    output: FormatOption = "text",
) -> None:
    """End all faults, or those of some nodes: power, network, and ranks that systemd gave up on."""
    as_json = _checked(output)
    only = [] if not nodes or nodes == ["all"] else nodes
    with _faulty(name) as field:
        healed = faults.heal(field, only)
    if as_json:
        print_json({"healed": healed})
    else:
        _say(f"healed: {', '.join(healed)}" if healed else "there was nothing to heal")


def _rendered(table: Table) -> str:
    from rich.console import Console

    console = Console(highlight=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()
