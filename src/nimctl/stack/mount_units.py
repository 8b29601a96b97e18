"""Units of systemd that mount a storage. Source: systemd.mount(5), systemd.automount(5)."""

from __future__ import annotations

import re
from collections.abc import Sequence

MARK = "# Written by nimctl.\n"


def name_of(path: str, kind: str) -> str:
    """The name that ``systemd-escape --path --suffix=KIND`` gives."""
    parts = [re.sub(r"[^A-Za-z0-9:_.]", _escaped, part) for part in path.split("/") if part]
    return f"{'-'.join(parts)}.{kind}"


def _escaped(match: re.Match[str]) -> str:
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode())


def mount_unit(
    what: str,
    where: str,
    kind: str,
    options: Sequence[str],
    *,
    after: Sequence[str],
    network: bool = False,
    requires: Sequence[str] = (),
) -> str:
    """A mount; the folder that systemd makes for it lets nobody but root write what would be hidden later.

    ``after`` are units that it waits for, and ``requires`` such that it cannot be without.
    """
    waits = [*(["network-online.target"] if network else []), *after]
    order = f"After={' '.join([*waits, *requires])}\n" if waits or requires else ""
    order += f"Wants={' '.join(waits)}\n" if waits else ""
    order += f"Requires={' '.join(requires)}\n" if requires else ""
    target = "remote-fs.target" if network else "local-fs.target"
    return (
        f"{MARK}[Unit]\nDescription=Model storage {where}\n{order}\n"
        f"[Mount]\nWhat={what}\nWhere={where}\nType={kind}\nOptions={','.join(options)}\n"
        f"DirectoryMode=0555\nTimeoutSec=60\n\n[Install]\nWantedBy={target}\n"
    )


def automount_unit(where: str) -> str:
    """Mounts a storage at its first use, and keeps it."""
    return (
        f"{MARK}[Unit]\nDescription=Model storage {where}, at its first use\n\n"
        f"[Automount]\nWhere={where}\nTimeoutIdleSec=0\nDirectoryMode=0555\n\n"
        "[Install]\nWantedBy=remote-fs.target\n"
    )
