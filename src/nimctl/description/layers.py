"""What the settings of the host stack mean together, and with the machines that they are for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nimctl.description import syntax
from nimctl.description.document import Deployment, NodeEntry, Stack
from nimctl.description.findings import Findings
from nimctl.description.hardware import Hardware
from nimctl.description.words import listing, shorten
from nimctl.errors import Field, RefusedError
from nimctl.stack.numbers import branch_of

if TYPE_CHECKING:
    # The tables are read with this package's own tools: whoever imports them first would find it half made.
    from nimctl.stack.rows import Branch
    from nimctl.stack.versions import Versions

SHORTEST_CONFIRMATION = 10
LONGEST_CONFIRMATION = 600
SSH = 22
_SYSCTL = re.compile(r"[a-z0-9_]+(?:\.[A-Za-z0-9_/-]+)+")


@dataclass(frozen=True)
class _Subject:
    """What the checks look at."""

    stack: Stack
    entries: Mapping[int, NodeEntry]
    deployments: Mapping[int, Deployment]
    hardware: Hardware
    tables: Versions
    findings: Findings
    ssh_port: int

    @property
    def with_gpus(self) -> Iterable[tuple[int, str]]:
        """Entries whose nodes have NVIDIA GPUs, with their model."""
        for index, entry in self.entries.items():
            row = self.hardware.gpus.get(entry.gpu.model or "")
            if entry.state == "present" and entry.gpu.count and row is not None and not row.stand_in:
                yield index, str(entry.gpu.model)

    def generation(self, model: str) -> str:
        device = self.tables.device_of_model(model)
        return device.generation if device is not None else self.hardware.gpus[model].generation


def check(
    stack: Stack,
    entries: Mapping[int, NodeEntry],
    deployments: Mapping[int, Deployment],
    hardware: Hardware,
    tables: Versions,
    findings: Findings,
    ssh_port: int,
) -> None:
    """Check every layer that is not ignored."""
    subject = _Subject(stack, entries, deployments, hardware, tables, findings, ssh_port)
    for layer, one in CHECKS:
        if getattr(stack, layer).mode != "ignore":
            one(subject)


def _driver(subject: _Subject) -> None:
    where: Field = ("stack", "driver")
    driver = subject.stack.driver
    branch = _branch(subject, where)
    if branch is None:
        return
    asked: Field = (*where, "branch" if driver.branch is not None else "version")
    for index, model in subject.with_gpus:
        generation = subject.generation(model)
        if generation not in subject.tables.generations:
            continue
        why = subject.tables.why_not(branch, [generation], driver.modules)
        if not why:
            continue
        kind_matters = not subject.tables.why_not(branch, [generation])
        at: Field = (*where, "modules") if kind_matters else asked
        good = _instead(subject, [generation])
        line = subject.findings.line(("nodes", index))
        found = driver.modules if kind_matters else str(branch.number)
        subject.findings.add(
            at, f"found {found} for {model} (line {line}): {why}; expected {'auto' if kind_matters else good}"
        )
    if not list(subject.with_gpus) and driver.modules not in (
        "auto",
        *branch.modules,
        *branch.doubtful_modules,
    ):
        found = f"found {driver.modules} with branch {branch.number}"
        subject.findings.add((*where, "modules"), f"{found}, expected auto or {' or '.join(branch.modules)}")


def _instead(subject: _Subject, generations: Sequence[str]) -> str:
    numbers = [str(row.number) for row in subject.tables.branches_for(generations)]
    return listing(numbers) if numbers else "GPUs of another generation"


def _branch(subject: _Subject, where: Field) -> Branch | None:
    """The branch that branch and version name; None where neither does, or they are wrong."""
    driver, findings = subject.stack.driver, subject.findings
    known = subject.tables.drivers
    found: Branch | None = None
    if driver.branch is not None:
        try:
            found = subject.tables.branch(driver.branch)
        except RefusedError as refused:
            findings.add((*where, "branch"), str(refused))
    if driver.version is not None:
        number = branch_of(driver.version)
        if driver.branch is not None and number != driver.branch:
            said = f"found {shorten(driver.version)}, a version of branch {number}"
            findings.add((*where, "version"), f"{said}, expected one of branch {driver.branch}")
        elif driver.branch is None and str(number) not in known:
            said = f"found {shorten(driver.version)}, of the unknown branch {number}"
            findings.add((*where, "version"), f"{said}, expected one of the branches {', '.join(known)}")
        elif driver.branch is None:
            found = known[str(number)]
    elif found is not None and found.version is None:
        said = f"found {found.number}, of which nimctl knows no version"
        findings.add((*where, "branch"), f"{said}, expected stack.driver.version beside it")
    return found


def _fabric_manager(subject: _Subject) -> None:
    where: Field = ("stack", "fabric_manager")
    models = sorted({model for _, model in subject.with_gpus})
    switched = [model for model in models if subject.hardware.gpus[model].nvswitch]
    devices = [subject.tables.device_of_model(model) for model in models]
    named = listing(models) if models else "none"
    if subject.stack.fabric_manager.install == "always" and not switched:
        said = f"found always, and no node has GPUs that NVSwitches join (found {named})"
        subject.findings.add((*where, "install"), f"{said}, expected auto")
    if subject.stack.fabric_manager.imex == "always" and not any(row and row.imex for row in devices):
        said = f"found always, and no node belongs to an NVLink domain of several nodes (found {named})"
        subject.findings.add((*where, "imex"), f"{said}, expected auto")


def _container_toolkit(subject: _Subject) -> None:
    version = subject.stack.container_toolkit.version
    if version is None:
        return
    try:
        subject.tables.toolkit(version)
    except RefusedError as refused:
        subject.findings.add(("stack", "container_toolkit", "version"), str(refused))


def _rdma(subject: _Subject) -> None:
    rdma, where = subject.stack.rdma, ("stack", "rdma")
    if rdma.source == "inbox" and rdma.version is not None:
        said = "found a version with source: inbox"
        subject.findings.add((*where, "version"), f"{said}, expected none (it belongs to doca)", key=True)
    if rdma.source == "doca" and rdma.mode == "managed":
        mirror = subject.stack.mirrors.get("doca")
        if (mirror is None or mirror.key is None) and subject.tables.publisher("doca").fingerprint is None:
            subject.findings.add(
                (*where, "source"),
                "found doca without stack.mirrors.doca.key, expected the fingerprint of the key that signs "
                "DOCA's repository there: nimctl does not know it, and installs nothing that is not verified",
            )


def _gpu_direct(subject: _Subject) -> None:
    wanted, where = subject.stack.gpu_direct, ("stack", "gpu_direct")
    if subject.stack.driver.mode == "ignore" or subject.stack.driver.modules != "proprietary":
        return
    for field, found, rule in (
        ("storage", wanted.storage, "gds-open-modules"),
        ("method", wanted.method == "dma-buf", "dma-buf-open-modules"),
    ):
        if found:
            value = "true" if field == "storage" else "dma-buf"
            says = subject.tables.rule(rule).says
            subject.findings.add(
                (*where, field), f"found {value} with stack.driver.modules: proprietary, but {says}"
            )


def _tuning(subject: _Subject) -> None:
    for name, value in subject.stack.tuning.sysctls.items():
        where: Field = ("stack", "tuning", "sysctls", name)
        if _SYSCTL.fullmatch(name) is None:
            expected = "the name of a kernel setting such as net.core.rmem_max"
            subject.findings.add(where, f'found the name "{shorten(name)}", expected {expected}', key=True)
        elif value < 0:
            subject.findings.add(where, f"found the number {value}, expected a floor from 0 up")


def _firewall(subject: _Subject) -> None:
    firewall, where = subject.stack.firewall, ("stack", "firewall")
    seconds = syntax.parse_duration(firewall.confirm)
    if not SHORTEST_CONFIRMATION <= seconds <= LONGEST_CONFIRMATION:
        said = f"found {firewall.confirm}, expected 10s to 10m: time for a fresh connection"
        subject.findings.add((*where, "confirm"), said)
    low, high = (int(port) for port in firewall.ephemeral.split("-"))
    if low <= subject.ssh_port <= high:
        said = (
            f"found {firewall.ephemeral}, which closes SSH (port {subject.ssh_port}) to all but the cluster"
        )
        subject.findings.add((*where, "ephemeral"), f"{said}, expected a range without it")
        return
    for index, deployment in subject.deployments.items():
        if low <= deployment.port <= high:
            said = f"found {deployment.port}, inside stack.firewall.ephemeral ({firewall.ephemeral})"
            reason = "those ports are closed to all but the cluster"
            subject.findings.add(("deployments", index, "port"), f"{said}, expected a port outside: {reason}")


CHECKS: tuple[tuple[str, Callable[[_Subject], None]], ...] = (
    ("driver", _driver),
    ("fabric_manager", _fabric_manager),
    ("container_toolkit", _container_toolkit),
    ("rdma", _rdma),
    ("gpu_direct", _gpu_direct),
    ("tuning", _tuning),
    ("firewall", _firewall),
)
