"""``nimctl lock``: write down what a run must not move by itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from nimctl.cli.app import FormatOption, InventoryOption, messages, print_json
from nimctl.cluster import Cluster
from nimctl.errors import FAILED, RejectedError
from nimctl.lock import lock_file
from nimctl.locking import PARTS, Plan, plan
from nimctl.suggest import command


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(lock)


def lock(
    inventory: InventoryOption,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WHAT]...",
            help="With --upgrade: images, placement, nodes, stack, one layer of it such as driver, or "
            "deployments.",
        ),
    ] = None,
    upgrade: Annotated[
        bool, typer.Option("--upgrade", help="Let WHAT move; without WHAT, everything.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 1 when the lock is incomplete or would move.")
    ] = False,
    image: Annotated[
        list[str] | None,
        typer.Option(
            "--image", metavar="REF=DIGEST", help="Take this digest instead of asking the registry."
        ),
    ] = None,
    format: FormatOption = "text",  # noqa: A002 - the option is called --format
) -> None:
    """Write what is missing to cluster.lock.yml: image digests and the placement of every rank.

    What is locked stays: a moved tag or one node more changes nothing. `nimctl lock --upgrade` asks the
    registries again and places anew; `nimctl lock --upgrade images`, `... placement` or `... r1` moves only
    that. Versions of the host stack are locked by the first run; `nimctl lock --upgrade driver` moves one to
    what the description or nimctl's tables say, without contacting a host, and tells what the next run will
    do about it. HCAs and interfaces that the description leaves open are locked by the run that finds them;
    `nimctl lock --upgrade nodes` forgets them, and the next run looks again. Every difference is shown
    before it is written.
    """
    if what and not upgrade:
        raise RejectedError(f"{' '.join(what)}: is only understood with --upgrade")
    if format not in ("text", "json"):
        raise RejectedError(f"--format {format}: expected text or json")
    moving = frozenset(what or (PARTS if upgrade else []))
    lookup = None if check and not upgrade else _lookup
    found = plan(inventory, lookup, upgrade=moving, given=_given(image or []))
    for note in found.placement.notes:
        if "has no digest yet" not in note:
            messages.print(f"note: {note}", markup=False, soft_wrap=True)
    incomplete = bool(found.changes or found.unknown)
    if format == "text":
        _show(found, check)
    changed = False if check else found.write()
    if format == "json":
        print_json(_result(found, changed, check))
    elif changed:
        typer.echo(f"wrote {lock_file(found.folder)}")
    elif not check:
        typer.echo(f"{lock_file(found.folder)} is complete, nothing to do")
    if check and incomplete:
        raise typer.Exit(FAILED)


def _lookup(cluster: Cluster, image: str) -> str:
    # Imported here: every verb pays for what is imported above.
    from nimctl.registry import access, digest

    messages.print(f"looking up {image}", markup=False, soft_wrap=True)
    return digest(image, access(cluster, image))


def _given(images: list[str]) -> dict[str, str]:
    given = {}
    for text in images:
        reference, equals, digest = text.rpartition("=")
        if not equals or not reference:
            raise RejectedError(f"--image {text}: expected REFERENCE=sha256:...")
        given[reference] = digest
    return given


def _show(found: Plan, check: bool) -> None:
    for change in found.changes:
        typer.echo(str(change))
    for reference in found.unknown:
        typer.echo(f"? image {reference}: not locked; `{command(found.folder, 'lock')}` asks its registry")
    if check and not found.changes and not found.unknown:
        typer.echo(f"{lock_file(found.folder)} is complete")


def _result(found: Plan, changed: bool, check: bool) -> dict[str, Any]:
    return {
        "file": str(lock_file(found.folder)),
        "complete": not found.unknown and not (check and found.changes),
        "changed": changed,
        "changes": [
            {"what": c.what, "before": c.before, "after": c.after, "means": list(c.means)}
            for c in found.changes
        ],
        "unknown": list(found.unknown),
        "images": dict(found.after.images),
        "nodes": {
            name: {"hcas": list(said.hcas), "interface": said.interface}
            for name, said in sorted(found.after.nodes.items())
        },
        "stack": {layer: dict(said) for layer, said in sorted(found.after.stack.items())},
        "planned": {name: asdict(split) for name, split in sorted(found.after.planned.items())},
        "placement": {
            name: [
                {
                    "ranks": [{"node": s.node, "gpus": list(s.gpus)} for s in replica.seats],
                    "ports": dict(replica.ports),
                }
                for replica in replicas
            ]
            for name, replicas in sorted(found.after.placement.items())
        },
    }
