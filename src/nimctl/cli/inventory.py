"""``nimctl inventory``: what Ansible sees."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nimctl.cli.app import InventoryOption, messages, print_json
from nimctl.errors import RejectedError
from nimctl.inventory import compose, folder_of, read
from nimctl.listing import as_list, as_static, host_variables
from nimctl.yamltext import write


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(inventory)


def inventory(
    inventory: InventoryOption,
    format: Annotated[  # noqa: A002 - the option is called --format
        str,
        typer.Option(
            "--format", help="yaml: a static inventory; json: as ansible-inventory --list prints it."
        ),
    ] = "yaml",
    list_: Annotated[bool, typer.Option("--list", help="The same as --format json.")] = False,
    host: Annotated[
        str | None, typer.Option("--host", metavar="NAME", help="Only the variables of one node.")
    ] = None,
) -> None:
    """Print the inventory that a description becomes: groups, settings, and the ranks of every node.

    `ansible-inventory -i DIR --list` prints the same. In the YAML form, settings stand with their group, and
    group_vars/ and host_vars/ beside the description are not merged in; --list and --host merge them.
    """
    if format not in ("yaml", "json"):
        raise RejectedError(f"--format {format}: expected yaml or json")
    placement = read(inventory)
    folder = folder_of(inventory)
    for note in placement.notes:
        messages.print(f"note: {note}", markup=False, soft_wrap=True)
    composed = compose(placement)
    if host is not None:
        variables = host_variables(composed, host, folder)
        if format == "json":
            print_json(variables)
        else:
            sys.stdout.write(write(variables))
    elif list_ or format == "json":
        print_json(as_list(composed, folder))
    else:
        if any((folder / name).is_dir() for name in ("group_vars", "host_vars")):
            sys.stdout.write("# group_vars/ and host_vars/ beside cluster.yml win over what stands here\n")
        sys.stdout.write(write(as_static(composed)))
