"""Decisions about ranks, without a look at any machine."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

UNIT_FOLDER = "/etc/systemd/system"
SECTION = "X-Nimctl"
RUNNING = ("active", "activating", "reloading", "deactivating")


def unit_name(rank: str) -> str:
    """The systemd unit of a rank."""
    return f"nim-{rank}.service"


def container_name(rank: str) -> str:
    """The container of a rank."""
    return f"nim-{rank}"


def replica_of(rank: Mapping[str, Any]) -> str:
    """The replica that a rank belongs to, as one word."""
    return f"{rank['deployment']}-{rank['replica']}"


def replica_group(rank: Mapping[str, Any]) -> str:
    """The inventory group of a rank's replica."""
    return f"nim_replica_{rank['deployment']}_{rank['replica']}".replace("-", "_")


def env_path(cluster: str, rank: str) -> str:
    """The file with a rank's environment."""
    return f"/etc/nimctl/ranks/{cluster}/{rank}.env"


def secret_path(cluster: str, variable: str) -> str:
    """The file with one secret variable; one file each, so that a rank gets no other's."""
    return f"/etc/nimctl/secrets/{cluster}/{variable}.env"


def env_line(name: str, value: str) -> str:
    """One line of an environment file of docker and podman, which know neither quotes nor continuation."""
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError(f"The value of {name} has a line break, which an environment file cannot carry.")
    return f"{name}={value}\n"


def unit_marks(text: str) -> dict[str, str]:
    """What a unit file says about itself in its own section, with lower-case names."""
    match = re.search(rf"^\[{SECTION}\]\n((?:[^\[\n].*\n|\n)*)", text, re.MULTILINE)
    if match is None:
        return {}
    lines = (line.split("=", 1) for line in match.group(1).splitlines() if "=" in line)
    return {name.strip().lower(): value.strip() for name, value in lines}


@dataclass(frozen=True)
class Seen:
    """How a rank was found: the unit's state, the specs of its container and of its old unit file."""

    state: str
    container_spec: str | None
    unit_spec: str | None
    unit_engine: str | None


def restart_reason(rank: Mapping[str, Any], engine: str, seen: Seen) -> str:
    """Why a rank cannot stay as it runs; an empty text if it can.

    What runs decides, not which file was rewritten: a repaired file changes nothing that runs, and a
    run that was interrupted between the files and the restart is completed by the next one.
    """
    if seen.state not in RUNNING:
        return "it does not run"
    if seen.unit_engine and seen.unit_engine != engine:
        return f"the container engine changes from {seen.unit_engine} to {engine}"
    running = seen.container_spec if seen.container_spec is not None else seen.unit_spec
    if running is None:
        return "nobody knows from which definition it runs"
    if running != rank["spec"]:
        return "its definition changed"
    return ""


def restarts(plans: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, str]:
    """Which replicas restart as a whole, and why.

    ``plans`` has, per node, the ranks found there with ``replica`` and ``reason``. One rank that
    restarts alone does not join its group again, so a reason at one rank is one for all.
    """
    found: dict[str, str] = {}
    for node, ranks in sorted(plans.items()):
        for name, rank in sorted(ranks.items()):
            if rank["reason"] and rank["replica"] not in found:
                found[rank["replica"]] = f"{name} on {node}: {rank['reason']}"
    return found


def incomplete(
    ranks: Iterable[Mapping[str, Any]], members: Mapping[str, Iterable[str]], known: Iterable[str]
) -> dict[str, list[str]]:
    """Replicas of these ranks that have nodes of which nothing is known in this run, with those nodes."""
    reached = set(known)
    missing = {replica_of(rank): sorted(set(members[replica_of(rank)]) - reached) for rank in ranks}
    return {replica: nodes for replica, nodes in missing.items() if nodes}


def held(members: Mapping[str, Iterable[str]], drained: Iterable[str]) -> dict[str, list[str]]:
    """Replicas that must not run, with the drained nodes that have a rank of theirs."""
    gone = set(drained)
    found = {replica: sorted(gone & set(nodes)) for replica, nodes in members.items()}
    return {replica: nodes for replica, nodes in found.items() if nodes}


def keeps_restarting(restarts_before: int, restarts_now: int, state: str, sub_state: str) -> bool:
    """Whether a unit goes round in circles: three restarts seen, or three and one to come."""
    if state == "failed":
        return True
    if restarts_now - restarts_before >= 3:
        return True
    return sub_state.startswith("auto-restart") and restarts_now >= 3
