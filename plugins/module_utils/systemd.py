"""The few questions and orders for systemd that modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError

Run = Callable[[list[str]], tuple[int, str, str]]
"""Runs a command and gives its exit status, stdout and stderr."""


def show(run: Run, units: Iterable[str], properties: Iterable[str]) -> dict[str, dict[str, str]]:
    """Properties of units by unit name, in one call; a unit that does not exist has empty ones."""
    names = list(units)
    if not names:
        return {}
    wanted = ["Id", *properties]
    status, out, err = run(["systemctl", "show", "--no-pager", f"--property={','.join(wanted)}", *names])
    if status != 0:
        raise NodeError(f"systemctl show failed: {err.strip() or out.strip()}")
    found: dict[str, dict[str, str]] = {}
    for name, block in zip(names, out.strip("\n").split("\n\n")):  # noqa: B905 - newer than a node's Python
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[name] = {key: values.get(key, "") for key in wanted}
    return found


def journal(run: Run, unit: str, lines: int = 30) -> list[str]:
    """The last lines that a unit's processes wrote, without what systemd and the engine wrote about it."""
    name = unit.rpartition(".")[0]
    # Whatever journald made of the cgroup of a container, its lines have the identifier of its unit.
    which = f"--identifier={name}" if name.startswith("nim-") else f"--unit={unit}"
    status, out, _ = run(["journalctl", "--no-pager", "--output=cat", f"--lines={lines}", which])
    return out.splitlines() if status == 0 else []


def order(run: Run, verb: str, *units: str) -> None:
    """Have systemd do something. Raises NodeError with the last lines of the unit's log."""
    status, out, err = run(["systemctl", verb, *units])
    if status == 0:
        return
    said = err.strip() or out.strip()
    lines = "".join(f"\n  {line}" for unit in units for line in journal(run, unit, 15))
    last = f"\nThe last lines of {' and '.join(units)}:{lines}" if lines else ""
    raise NodeError(f"systemctl {' '.join([verb, *units])} failed: {said}{last}")


def running_ranks(run: Run) -> list[str]:
    """The units of ranks that run on this node or are about to."""
    status, out, err = run(
        [
            "systemctl",
            "list-units",
            "--plain",
            "--no-legend",
            "--no-pager",
            "--state=active,activating,reloading",
            "nim-*.service",
        ]
    )
    if status != 0:
        raise NodeError(f"systemctl list-units failed: {err.strip() or out.strip()}")
    return sorted(line.split()[0] for line in out.splitlines() if line.strip())


def dependents(run: Run, unit: str) -> set[str]:
    """All units that systemd stops together with this one, directly or by way of others."""
    found: set[str] = set()
    looking = {unit}
    while looking:
        properties = show(run, sorted(looking), ["RequiredBy", "BoundBy", "ConsistsOf"])
        found |= looking
        named = {
            name
            for each in properties.values()
            for key in ("RequiredBy", "BoundBy", "ConsistsOf")
            for name in each[key].split()
        }
        looking = named - found
    return found - {unit}
