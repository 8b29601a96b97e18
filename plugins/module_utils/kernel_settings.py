"""Kernel settings (sysctls): what the running kernel has, what the next boot gives, and what has to change.

A floor is raised only where the value is lower. systemd-sysctl knows no floors, so a floor goes into our file
only where the boot would give less without it: a site's own higher value is never lowered by us.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.files import (
    File,
    Outcome,
    Record,
    read,
    reconcile,
)

FOLDERS = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
"""Where sysctl.d folders are; a file hides those of its name in later ones (sysctl.d(5))."""
NAMESPACED = (
    "fs.mqueue.",
    "kernel.msg",
    "kernel.sem",
    "kernel.shm",
    "net.core.somaxconn",
    "net.ipv4.conf.",
    "net.ipv4.ip_",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "net.ipv6.conf.",
)
"""Beginnings of the settings that a container has for itself; all others are those of its host's kernel.
Source: ipc_namespaces(7), network_namespaces(7), and register_net_sysctl in Linux 6.12 net/."""


@dataclass(frozen=True)
class Change:
    """What has to be done: ``lines`` for our file, ``write`` for the running kernel, ``former`` to remember
    what was."""

    lines: dict[str, str] = field(default_factory=dict)
    write: dict[str, str] = field(default_factory=dict)
    former: dict[str, str] = field(default_factory=dict)
    not_here: list[str] = field(default_factory=list)
    overridden: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Settled:
    """What was done, or would be in check mode; values of the running kernel before and after, by setting."""

    files: Outcome
    before: dict[str, str]
    after: dict[str, str]


class Kernel:
    """The settings of the running kernel, below ``root``."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Where a setting is; a slash as the first separator allows dots in parts (sysctl.d(5))."""
        dot, slash = key.find("."), key.find("/")
        parts = key.split("/") if 0 <= slash < dot or dot < 0 else key.replace("/", "\0").split(".")
        return self.root.joinpath("proc/sys", *(part.replace("\0", ".") for part in parts))

    def get(self, key: str) -> str | None:
        """The value, words separated by one space; None where this kernel has no such setting."""
        try:
            return same(self.path(key).read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def set(self, key: str, value: str) -> None:
        """Change it at once. Raises NodeError where the kernel refuses."""
        try:
            self.path(key).write_text(f"{value}\n", encoding="utf-8")
        except OSError as error:
            raise NodeError(f"The kernel does not take {key} = {value}: {error.strerror}.") from error

    def is_ours(self, key: str) -> bool:
        """Whether a container has the setting for itself and may change it."""
        return key.replace("/", ".").startswith(NAMESPACED) and os.access(self.path(key), os.W_OK)

    def at_boot(self, without: str) -> dict[str, tuple[str, str]]:
        """By setting what the boot gives and which file says so, as if the file ``without`` were not
        there."""
        found: dict[str, tuple[str, str]] = {}
        for path in self._files():
            if str(path) == without:
                continue
            for line in (read(path) or "").splitlines():
                key, equal, value = line.strip().lstrip("-").partition("=")
                if equal and not key.startswith(("#", ";")):
                    found[str(self.path(key.strip()))] = (same(value), str(path))
        return found

    def _files(self) -> Iterator[Path]:
        chosen: dict[str, Path] = {}
        for folder in FOLDERS:
            for path in (self.root / folder / "sysctl.d").glob("*.conf"):
                chosen.setdefault(path.name, path)
        yield from (chosen[name] for name in sorted(chosen))


def compare(
    kernel: Kernel,
    *,
    file: str,
    floors: Mapping[str, int],
    values: Mapping[str, str],
    optional: frozenset[str],
    former: Mapping[str, str],
    contained: str,
) -> Change:
    """What has to change on this node.

    ``former`` has the values that were there before this owner changed them, ``file`` is the owner's,
    ``contained`` says what the node is a container of. Raises NodeError for a setting that the kernel does
    not have.
    """
    if set(floors) & set(values):
        raise NodeError(
            f"These are given a floor and a value: {', '.join(sorted(set(floors) & set(values)))}."
        )
    change = Change()
    others = kernel.at_boot(file)
    for key, wanted in [
        *((k, str(v)) for k, v in floors.items()),
        *((k, same(v)) for k, v in values.items()),
    ]:
        live = kernel.get(key)
        if contained and not kernel.is_ours(key):
            change.not_here.append(f"{key} is a setting of the kernel below this container ({contained}).")
            continue
        if live is None:
            if key not in optional:
                raise NodeError(
                    f"This kernel has no setting {key}. Is it spelt right, and its module loaded?"
                )
            change.not_here.append(f"{key}: this kernel has no such setting.")
            continue
        boot, source = others.get(str(kernel.path(key)), ("", ""))
        target = wanted
        if key in floors:
            if _number(key, live) >= floors[key] and key not in former:
                continue
            if boot and _number(key, boot) >= floors[key]:
                # It comes with the boot anyway; only the running kernel may have less.
                target = boot
            else:
                change.lines[key] = wanted
            if _number(key, live) < floors[key]:
                change.write[key] = target
        else:
            change.lines[key] = wanted
            if live != wanted:
                change.write[key] = wanted
        if key in change.lines and Path(source).name > Path(file).name and boot != wanted:
            change.overridden.append(f"{source} sets {key} = {boot} after {file}: that is what a boot gives.")
        change.former[key] = former.get(key, live)
    return change


def settle(kernel: Kernel, file: str, change: Change, record: Record, owner: str, check: bool) -> Settled:
    """Do it, and give back what is no longer wanted. The record keeps former values, and what was set
    instead.

    A setting that somebody else has changed since stays as it is.
    """
    former, ours = record.content.get("former", {}), record.content.get("set", {})
    back = {
        key: value
        for key, value in former.items()
        if key not in change.former and kernel.get(key) == ours[key] and value != ours[key]
    }
    write = {**back, **change.write}
    before = {key: kernel.get(key) or "" for key in write}
    now = {key: change.write.get(key, ours.get(key, value)) for key, value in change.former.items()}
    head = f"# Written by nimctl for {owner}; changes are undone by its next run.\n"
    text = head + "".join(f"{key} = {value}\n" for key, value in sorted(change.lines.items()))
    if not check:
        # Before anything is written, so that an interrupted run forgets no former value.
        _remember(record, {**former, **change.former}, {**ours, **now})
    files = reconcile([File(file, text)] if change.lines else [], record, check)
    if not check:
        for key, value in write.items():
            kernel.set(key, value)
        _remember(record, dict(change.former), now)
    return Settled(files, before, write)


def same(text: str) -> str:
    """A value so that two ways of writing it are equal."""
    return " ".join(text.split())


def _remember(record: Record, former: dict[str, str], ours: dict[str, str]) -> None:
    rest = {key: value for key, value in record.content.items() if key not in ("former", "set")}
    record.save({**rest, "former": former, "set": ours} if former else rest)


def _number(key: str, text: str) -> int:
    if not text.lstrip("-").isdigit():
        raise NodeError(
            f"{key} is {text!r}, which is not one number, so there is no floor for it. Set it as a "
            "value instead."
        )
    return int(text)
