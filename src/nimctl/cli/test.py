"""``nimctl test``: does what should serve answer?"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from nimctl.cli.app import FormatOption, InventoryOption, messages, print_json
from nimctl.cli.options import DeploymentArgument, json_wanted, results
from nimctl.errors import DONE, FAILED
from nimctl.run.target import Target, load

if TYPE_CHECKING:
    from nimctl.run.checks import Check


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command("test")(ask)


def ask(
    inventory: InventoryOption,
    deployment: DeploymentArgument = None,
    output: FormatOption = "text",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for one answer.", min=1)] = 120.0,
) -> None:
    """Ask each replica, through its leader, for health, models, a completion and a stream.

    Asks from this machine, as a client would, and makes sure that no worker serves HTTP. Exit codes:
    0 all passed, 1 something did not, 2 rejected.
    """
    from nimctl.run import checks  # the HTTP client is slow to import, and only this verb needs it

    as_json = json_wanted(output)
    target = load(inventory)
    done = []
    with messages.status("asking"):
        for check in checks.run(target, deployment, timeout):
            done.append(check)
    passed = all(check.passed for check in done)
    if as_json:
        print_json(
            {
                "cluster": target.cluster,
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
                "passed": passed,
                "checks": [_check(check) for check in done],
            }
        )
    elif not done:
        messages.print("The description has no deployments; there is nothing to ask.")
    else:
        _show(target, done)
    raise typer.Exit(DONE if passed else FAILED)


def _check(check: Check) -> dict[str, object]:
    values = asdict(check)
    return {"check": values.pop("kind"), **values}


def _show(target: Target, done: list[Check]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("DEPLOYMENT", "REPLICA", "CHECK", "RESULT", "TIME", "DETAIL"):
        table.add_column(heading, justify="right" if heading in ("REPLICA", "TIME") else "left")
    before: tuple[str, int] | None = None
    for check in done:
        place = (check.deployment, check.replica)
        first = place != before
        before = place
        table.add_row(
            escape(check.deployment) if first else "",
            str(check.replica) if first else "",
            check.kind,
            "[green]passed[/]" if check.passed else "[red]failed[/]",
            f"{check.seconds:.2f}s",
            escape(check.detail),
        )
    results().print(table)
    failed = sum(not check.passed for check in done)
    if failed:
        messages.print(
            f"{failed} of {len(done)} checks failed; "
            f"see {target.command('status')} and {target.command('logs')}",
            style="red",
            markup=False,
            soft_wrap=True,
        )
    else:
        messages.print(f"All {len(done)} checks passed.", style="green")
