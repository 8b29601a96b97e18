"""``nimctl contracts``: which launch contracts there are, what each says, and which an image obeys."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from nimctl.cli.app import FormatOption, messages, print_json
from nimctl.contracts import EVIDENCE, Contract, load_contracts, network
from nimctl.contracts.model import Row
from nimctl.description.words import nearest
from nimctl.errors import FAILED, RejectedError
from nimctl.inventory import folder_of, rank_variables, read
from nimctl.placement import Rank

OptionalInventory = Annotated[
    Path | None,
    typer.Option("-i", "--inventory", help="Inventory folder: its own contracts, and its ranks with `show`."),
]

contracts = typer.Typer(
    no_args_is_help=True, help="Launch contracts: how the ranks of an engine find each other."
)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(contracts, name="contracts")


def _known(inventory: Path | None) -> Mapping[str, Contract]:
    return load_contracts(folder_of(inventory) if inventory is not None else None)


def _format(format_: str) -> bool:
    if format_ not in ("text", "json"):
        raise RejectedError(f"--format {format_}: expected text or json")
    return format_ == "json"


@contracts.command("list")
def list_(inventory: OptionalInventory = None, format: FormatOption = "text") -> None:  # noqa: A002 - --format
    """List the contracts, with the engines that speak them and how sure their facts are."""
    as_json = _format(format)
    known = _known(inventory)
    if as_json:
        print_json([_head(contract) for contract in known.values()])
        return
    width = max(len(name) for name in known)
    for contract in known.values():
        typer.echo(f"{contract.id:{width}}  {contract.title}")
        typer.echo(f"{'':{width}}  engines: {', '.join(contract.engines)}; {EVIDENCE[contract.evidence]}")
        for refusal in contract.refuse:
            instead = f", use {refusal.use}" if refusal.use else ""
            typer.echo(
                f"{'':{width}}  shown only, never started with engine {', '.join(refusal.engines)}{instead}"
            )
    typer.echo("\n`nimctl contracts show ID` prints one with the reason for every line.")


def _head(contract: Contract) -> dict[str, Any]:
    return {
        "id": contract.id,
        "title": contract.title,
        "summary": contract.summary,
        "engines": list(contract.engines),
        "evidence": contract.evidence,
        "source": contract.source,
        "refused_with": [engine for refusal in contract.refuse for engine in refusal.engines],
    }


@contracts.command("show")
def show(
    contract: Annotated[
        str, typer.Argument(metavar="ID", help="A contract, as `nimctl contracts list` names it.")
    ],
    inventory: OptionalInventory = None,
    format: FormatOption = "text",  # noqa: A002 - the option is called --format
) -> None:
    """Show one contract: environment, command, options and ports of every role, with reasons and sources.

    With -i, the ranks that speak it in that inventory follow, with every value filled in.
    """
    as_json = _format(format)
    known = _known(inventory)
    found = known.get(contract)
    if found is None:
        raise RejectedError(
            f"{contract}: no such contract{nearest(contract, known)}; `nimctl contracts list` has all"
        )
    ranks: list[Rank] = []
    if inventory is not None:
        placement = read(inventory)
        for note in placement.notes:
            messages.print(f"note: {note}", markup=False, soft_wrap=True)
        ranks = [rank for rank in placement.ranks if placement.contracts[rank.deployment] == found.id]
    if as_json:
        print_json(
            {
                "contract": found.model_dump(exclude={"plugin"}),
                "network": [] if found.literal else [variable.model_dump() for variable in network()],
                "ranks": [{"node": rank.node, **rank_variables(rank)} for rank in ranks],
            }
        )
        return
    for line in _lines(found):
        typer.echo(line)
    if inventory is not None:
        for line in _ranks(found, ranks, inventory):
            typer.echo(line)


def _lines(contract: Contract) -> list[str]:
    lines = [f"{contract.id}: {contract.title}", "", *_wrapped(contract.summary), ""]
    lines.append(f"engines    {', '.join(contract.engines)}")
    lines.append(f"evidence   {EVIDENCE[contract.evidence]}")
    lines.append(f"source     {contract.source}")
    for hint in contract.infer:
        where = {"any": "", "one": ", one node", "several": ", several nodes"}[hint.nodes]
        lines.append(f"inferred   from a tag like {hint.tag} (engine {hint.engine}{where}): {hint.why}")
    for refusal in contract.refuse:
        use = f"; use {refusal.use}" if refusal.use else ""
        lines.append(
            f"refused    with engine {', '.join(refusal.engines)}: {' '.join(refusal.why.split())}{use}"
        )
    lines += ["", "ENVIRONMENT (* = `env` of a deployment may not set it)"]
    for variable in contract.environment:
        value = "(left unset)" if variable.value is None else f"= {variable.value}"
        lines += _row(f"{variable.name}{'*' if variable.identity else ''} {value}", variable)
    lines += ["", "COMMAND (after the image)"]
    if contract.entrypoint:
        lines.append(f"  entrypoint {contract.entrypoint}")
    if not contract.command:
        lines.append("  the image's own")
    for argument in contract.command:
        lines += _row(" ".join(argument.words), argument)
    lines.append(f"  `args` of a deployment: {_ARGUMENTS[contract.arguments]}")
    if contract.options:
        lines += ["", "OPTIONS (before the image)"]
        for option in contract.options:
            lines += _row(" ".join(option.words), option)
    lines += ["", "PORTS (on the node, with host networking)"]
    for name, port in contract.ports.items():
        number = "the deployment's `port`" if port.default is None else str(port.default)
        moves = (
            ""
            if port.default is None
            else ", cannot move"
            if port.fixed
            else ", the next free one when taken"
        )
        lines += _row(f"{name} {number}{moves}", port)
    lines += ["", "START AND HEALTH"]
    lines.append(
        f"  {contract.start.order}, ready within {contract.start.deadline} ({contract.start.source})"
    )
    lines.append(f"  ready when GET {contract.health.path} on rank 0 answers 200 ({contract.health.source})")
    for what, pattern in (("ready", contract.log.ready), ("handshake", contract.log.handshake)):
        if pattern:
            lines.append(f"  {what} in the log: {pattern} ({contract.log.source})")
    if contract.cache:
        lines.append(
            f"  cache {contract.cache.path}, owned by uid {contract.cache.uid} ({contract.cache.source})"
        )
    for key in contract.keys:
        lines.append(f"  secret {key.variable} from secrets.{key.secret}: {key.why}")
    if not contract.literal:
        lines += ["", "NETWORK (replicas on several nodes; from `fabric` of each node, `env` overrides)"]
        for row in network():
            value = "(left unset)" if row.value is None else f"= {row.value}"
            lines += [
                f"  {row.name} {value}   [{', '.join(row.kinds)}]",
                *_wrapped(f"{row.why} ({row.source})", "      "),
            ]
    return lines


_OWN = "the image's own"
_ARGUMENTS = {
    "appended": "appended",
    "variable": "passed in a variable, see above",
    "refused": "refused, there is no way to pass them",
}


def _row(head: str, row: Row) -> list[str]:
    conditions = []
    if len(row.roles) < 3:
        conditions.append(", ".join(row.roles))
    if row.engines:
        conditions.append(f"engine {', '.join(row.engines)}")
    conditions += [f"when there is {name}" for name in row.when] + [f"without {name}" for name in row.unless]
    suffix = f"   [{'; '.join(conditions)}]" if conditions else ""
    return [f"  {head}{suffix}", *_wrapped(f"{row.why} ({row.evidence}: {row.source})", "      ")]


def _wrapped(text: str, indent: str = "", width: int = 100) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), width, initial_indent=indent, subsequent_indent=indent)


def _ranks(contract: Contract, ranks: Sequence[Rank], inventory: Path) -> list[str]:
    if not ranks:
        return ["", f"No deployment of {inventory} speaks {contract.id}."]
    lines = ["", f"RANKS in {inventory}"]
    for rank in ranks:
        lines.append(f"  {rank.name} on {rank.node}")
        lines += [f"      {name}={value}" for name, value in rank.environment.items()]
        lines.append(f"      options: {' '.join(rank.options)}")
        lines.append(f"      command: {' '.join(rank.command) or _OWN}")
    return lines


@contracts.command("verify")
def verify(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image that is on this machine.")],
    inventory: OptionalInventory = None,
    engine: Annotated[
        str | None,
        typer.Option("--container-engine", help="podman or docker; default: the one that works here."),
    ] = None,
    run: Annotated[
        bool,
        typer.Option("--run/--no-run", help="Ask `nim-serve --dry-run` where the image has it (no network)."),
    ] = True,
    format: FormatOption = "text",  # noqa: A002 - the option is called --format
) -> None:
    """Look into an image: which contract does it obey, and what says so.

    Reads its configuration and files; its server is not started. Exit code 1 when no contract fits.
    """
    from nimctl.contracts.image import container_engine, judge, look

    as_json = _format(format)
    known = _known(inventory)
    chosen = container_engine(engine)
    messages.print(f"reading the files of {image} with {chosen}", markup=False, soft_wrap=True)
    seen = look(image, chosen, known, run=run)
    verdicts = judge(seen, known)
    fitting = [verdict.contract for verdict in verdicts if verdict.obeys]
    if as_json:
        print_json(
            {
                "image": image,
                "contracts": fitting,
                "entrypoint": seen.entrypoint,
                "command": seen.command,
                "user": seen.user,
                "environment": sorted(seen.environment),
                "labels": seen.labels,
                "programs": seen.programs,
                "scripts_read": seen.scripts,
                "dry_run": seen.dry_run,
                "verdicts": [
                    {
                        "contract": v.contract,
                        "obeys": v.obeys,
                        "seen": list(v.seen),
                        "missing": list(v.missing),
                    }
                    for v in verdicts
                ],
            }
        )
    else:
        typer.echo(f"entrypoint  {' '.join(seen.entrypoint) or '(none)'}")
        typer.echo(f"command     {' '.join(seen.command) or '(none)'}")
        typer.echo(f"user        {seen.user or 'root'}")
        typer.echo(f"variables   {', '.join(sorted(seen.environment)) or '(none)'}")
        for name, path in seen.programs.items():
            typer.echo(f"program     {name} is {path}")
        typer.echo(f"read        {seen.scripts} scripts and configuration files")
        if seen.dry_run is not None:
            typer.echo(f"nim-serve --dry-run:\n{seen.dry_run}")
        for verdict in verdicts:
            typer.echo(f"\n{verdict.contract}: {'obeys' if verdict.obeys else 'no'}")
            for text in verdict.seen:
                typer.echo(f"  + {text}")
            for text in verdict.missing:
                typer.echo(f"  - {text}")
        typer.echo("")
        if len(fitting) == 1:
            typer.echo(f"Write `contract: {fitting[0]}` for deployments with this image.")
        elif fitting:
            typer.echo(f"Several fit: {', '.join(fitting)}. The vendor's documentation has to decide.")
        else:
            typer.echo("No contract fits. A contract of your own can lie in contracts/ beside cluster.yml.")
    if not fitting:
        raise typer.Exit(FAILED)
