"""The parts of a host, put together; each is read in a process of its own: none can hang the others."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.host import (
    cdi,
    devices,
    driver,
    firewall,
    folders,
    infiniband,
    modules,
    mounts,
    nccl,
    network,
    packages,
    pci,
    system,
    tuning,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.host.apart import ask_apart
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

PATIENCE = 12.0
"""Seconds for everything but the mounts, which are asked before and have their own."""

Section = Callable[[Tree], Any]
SECTIONS: dict[str, Section] = {
    "system": system.read,
    "pci": pci.read,
    "driver": driver.read,
    "modules": modules.loaded,
    "available_modules": modules.available,
    "builtin_modules": modules.built_in,
    "dkms": modules.dkms,
    "devices": devices.read,
    "infiniband": infiniband.read,
    "interfaces": network.read,
    "cdi": cdi.read,
    "tuning": tuning.read,
    "firewall": firewall.read,
    "nccl": nccl.read,
    "packages": packages.read,
}
SPREAD = ("pci", "packages")
"""Sections whose answers are keys of the host themselves."""


def probe(root: str = "/", kernel: str = "/", looked_at: Sequence[str] = ()) -> dict[str, Any]:
    """Everything of ``nimctl.stack.host.Host``, within ``mounts.PATIENCE`` + ``PATIENCE`` seconds.

    ``looked_at`` are folders that somebody asks about.
    """
    host, problems, silent = read_mounts(Tree(root, kernel))
    sections = {**SECTIONS, "folders": functools.partial(folders.read, paths=list(looked_at))}
    answers, late = ask_apart(
        {
            name: functools.partial(read_section, section, Tree(root, kernel, unanswering=silent))
            for name, section in sections.items()
        },
        PATIENCE,
    )
    for name in sections:
        answer = answers.get(name, {})
        if name in late:
            problems.append(f"reading {name} takes longer than {PATIENCE:.0f} s and was given up")
        elif "error" in answer:
            problems.append(f"reading {name} failed: {answer['error']}")
        else:
            problems += answer["problems"]
            host.update(answer["found"] if name in SPREAD else {name: answer["found"]})
    # One cause shows in several sections, such as a file that several read.
    host["problems"] = list(dict.fromkeys(problems))
    return host


def read_mounts(tree: Tree) -> tuple[dict[str, Any], list[str], tuple[str, ...]]:
    """The mounts, what is wrong with them, and those that must not be touched."""
    found = mounts.read(tree)
    silent = tuple(mount["target"] for mount in found if mount["answers"] is False)
    return {"mounts": found}, tree.problems, silent


def read_section(section: Section, tree: Tree) -> dict[str, Any]:
    """One section with what could not be found out for it."""
    found = section(tree)
    return {"found": found, "problems": tree.problems}
