"""Arguments on the kernel command line of each boot, beside those of the site.

On Debian and Ubuntu a file of our own below /etc/default/grub.d adds to what the site has, and update-grub
takes it over; on the RHEL family grubby changes the entries of the boot loader.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import (
    File,
    Outcome,
    Record,
    read,
    reconcile,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.systemd import Run


def here(arguments: Sequence[str], root: Path = Path("/")) -> list[str]:
    """Those that the running kernel has not got."""
    running = (read(root / "proc/cmdline") or "").split()
    return [argument for argument in arguments if argument not in running]


def by_update_grub(
    run: Run,
    record: Record,
    owner: str,
    arguments: Sequence[str],
    check: bool,
    act: bool,
    root: Path = Path("/"),
) -> Outcome:
    """Debian and Ubuntu; without ``act`` (in a container) the file alone."""
    path = root / f"etc/default/grub.d/50-nimctl-{owner}.cfg"
    text = (
        f"# Written by nimctl for {owner}; changes are undone by its next run.\n"
        f'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX {" ".join(arguments)}"\n'
    )
    outcome = reconcile([File(str(path), text)] if arguments else [], record, check)
    written = read(root / "boot/grub/grub.cfg")
    # The boot loader's own file tells whether an earlier run was interrupted before update-grub.
    stale = written is not None and any(not _has(written, argument) for argument in arguments)
    if act and (outcome.changed or stale):
        if not outcome.changed:
            outcome.add("/boot/grub/grub.cfg", "", f"{' '.join(arguments)}\n")
        if not check:
            _order(run, ["update-grub"])
    return outcome


def by_grubby(run: Run, record: Record, arguments: Sequence[str], check: bool) -> Outcome:
    """The RHEL family, for all kernels; only what was added here is taken off again."""
    outcome = Outcome()
    ours = list(record.content.get("arguments", []))
    entries = [
        line for line in _order(run, ["grubby", "--info=ALL"]).splitlines() if line.startswith("args=")
    ]
    add = [each for each in arguments if not all(_has(line, each) for line in entries)]
    gone = [each for each in ours if each not in arguments]
    if add or gone:
        outcome.add("kernel command line", "".join(f"{e}\n" for e in gone), "".join(f"{e}\n" for e in add))
    if check:
        return outcome
    if add:
        # Before, so that an interrupted run leaves nothing that nobody remembers.
        record.save({"arguments": sorted({*ours, *add})})
        _order(run, ["grubby", "--update-kernel=ALL", f"--args={' '.join(add)}"])
    if gone:
        _order(run, ["grubby", "--update-kernel=ALL", f"--remove-args={' '.join(gone)}"])
    left = [each for each in record.content.get("arguments", []) if each in arguments]
    record.save({"arguments": left} if left else {})
    return outcome


def _has(text: str, argument: str) -> bool:
    return re.search(rf"""(^|[\s"']){re.escape(argument)}($|[\s"'])""", text) is not None


def _order(run: Run, command: list[str]) -> str:
    status, out, err = run(command)
    if status != 0:
        raise NodeError(f"{' '.join(command)} failed: {err.strip() or out.strip()}")
    return out
