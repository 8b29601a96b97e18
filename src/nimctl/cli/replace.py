"""``nimctl replace``: put a spare node in the place of another."""

from __future__ import annotations

import dataclasses
import difflib
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from nimctl.cli import running
from nimctl.cli.app import FormatOption, InventoryOption, messages, print_json
from nimctl.cli.options import (
    DEFAULT_RUNS,
    AnsibleArguments,
    RunDirOption,
    ansible_arguments,
    complete_node,
    json_wanted,
)
from nimctl.contracts import load_contracts
from nimctl.description import load as load_description
from nimctl.errors import RejectedError
from nimctl.inventory import folder_of
from nimctl.lock import Lock, format_lock, lock_file, read_lock, write_lock
from nimctl.locking import seats_of
from nimctl.resolve import check_runnable, resolve
from nimctl.rollout import replace as swap
from nimctl.run import secrets, session
from nimctl.run.target import load


def register(app: typer.Typer) -> None:
    """Add the verb to the application."""
    app.command()(replace)


def replace(
    node: Annotated[str, typer.Argument(help="The node that goes.", autocompletion=complete_node)],
    inventory: InventoryOption,
    spare: Annotated[
        str,
        typer.Option(
            "--with", metavar="SPARE", help="The node that takes its place.", autocompletion=complete_node
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Change nothing, only show.")] = False,
    output: FormatOption = "text",
    run_dir: RunDirOption = DEFAULT_RUNS,
    arguments: AnsibleArguments = None,
) -> None:
    """Give the ranks of NODE to SPARE, which must be free and alike; nothing else moves.

    Shows what changes in cluster.yml and cluster.lock.yml, asks, writes both and runs `nimctl provision`.
    NODE is marked `absent`: its ranks are removed, or that waits until it can be reached. Exit codes: 0 done,
    1 failed, 2 rejected or not confirmed, 3 done but something is pending.
    """
    as_json = json_wanted(output)
    words = ansible_arguments(arguments)
    folder = folder_of(inventory)
    cluster = load_description(inventory)
    contracts = load_contracts(folder)
    lock = read_lock(folder)
    if lock is None or not lock.placement:
        known = lock or Lock()
        placed = resolve(cluster, known, contracts)
        lock = dataclasses.replace(known, placement=seats_of(placed), planned=placed.planned)
    swap.check(cluster, lock, node, spare)
    file = cluster.file or folder / "cluster.yml"
    before = file.read_text(encoding="utf-8")
    after = swap.edited(before, file, node, spare)
    wanted = swap.moved(lock, node, spare)
    with tempfile.TemporaryDirectory(prefix="nimctl-") as place:
        # Checked as a whole, with the tables and contracts of the folder, before anything is written.
        trial = Path(place, "inventory")
        trial.mkdir()
        for beside in folder.iterdir():
            if beside.name not in (file.name, lock_file(folder).name):
                (trial / beside.name).symlink_to(beside.absolute())
        (trial / file.name).write_text(after, encoding="utf-8")
        placement = swap.checked(load_description(trial), wanted, contracts)
    check_runnable(placement)
    locked = lock_file(folder).read_text(encoding="utf-8") if lock_file(folder).exists() else ""
    text = _difference(file, before, after) + _difference(lock_file(folder), locked, format_lock(wanted))
    messages.print(text.rstrip(), markup=False, soft_wrap=True)
    if check:
        if as_json:
            print_json({"node": node, "with": spare, "check": True, "diff": text})
        return
    if not yes:
        _confirm(node, spare)
    _write(file, after)
    write_lock(folder, wanted)
    target = load(inventory)
    secrets.check(target.placement, None)
    outcome = running.run(
        "replace",
        "site",
        target,
        limit=None,
        arguments=words,
        runs=run_dir,
        variables={"nimctl_purpose": f"replace {node} with {spare}"},
    )
    session.conclude(outcome, messages)
    if as_json:
        print_json(outcome.summary() | {"node": node, "with": spare, "diff": text})
    raise typer.Exit(outcome.exit_code)


def _difference(file: Path, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), str(file), str(file), n=1
    )
    return "".join(lines)


def _write(file: Path, text: str) -> None:
    """In one step, beside the file, so that nobody reads half of it."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(file.stat().st_mode & 0o777)
    temporary.replace(file)


def _confirm(node: str, spare: str) -> None:
    if not sys.stdin.isatty():
        raise RejectedError("Nothing was done: there is nobody to ask; add --yes if you mean it")
    if not typer.confirm(f"Replace {node} with {spare}?", default=False, err=True):
        raise RejectedError("Nothing was done")
