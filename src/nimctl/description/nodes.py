"""What the entries of ``nodes`` mean together: names, addresses, GPUs and fabric of every machine."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nimctl.description import nodeset, syntax
from nimctl.description.document import Fabric, Gpu, NodeEntry
from nimctl.description.findings import Findings
from nimctl.description.hardware import Hardware
from nimctl.description.words import listing, nearest, shorten
from nimctl.errors import Field

REPORTED_PER_ENTRY = 5
ADDRESSES = "addresses such as 10.0.0.[11-14]"


@dataclass(slots=True)
class Machines:
    """One entry, expanded: names, addresses and fabric addresses in the order of the file."""

    names: list[str]
    addresses: list[str]
    fabric_addresses: list[str]


@dataclass(slots=True)
class Nodes:
    """Every entry expanded; ``entry_of`` maps each name to its entry, ``absent`` are those that leave.

    ``complete`` is False where some names are not known because their entry is wrong: whoever refers to
    a node then gets the benefit of the doubt. ``unsure`` are the entries whose GPU count is wrong,
    ``refused`` the names that cannot name a host.
    """

    machines: dict[int, Machines] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)
    entry_of: dict[str, int] = field(default_factory=dict)
    complete: bool = True
    unsure: set[int] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    def near(self, name: str) -> str:
        """``; did you mean NODE?``, of nodes whose names can stay as they are."""
        known = itertools.islice((node for node in self.entry_of if node not in self.refused), 2000)
        return nearest(name, known)


def check(entries: Mapping[int, NodeEntry], hardware: Hardware, findings: Findings) -> Nodes:
    """Expand and check every entry."""
    nodes = Nodes()
    seen_names: dict[str, Field] = {}
    seen_addresses: dict[str, tuple[str, Field]] = {}
    total = 0
    for index, entry in entries.items():
        if findings.full:
            break
        where: Field = ("nodes", index)
        names = _expand((*where, "hosts"), entry.hosts, nodeset.MAX_NAMES - total, findings)
        if names is None:
            nodes.complete = False
        else:
            total += len(names)
            nodes.refused.update(_check_names((*where, "hosts"), names, seen_names, findings))
            for name in names:
                nodes.entry_of.setdefault(name, index)
            nodes.absent |= _absent(where, entry, names, findings)
            nodes.machines[index] = _machines(where, entry, names, seen_addresses, findings)
        if findings.has((*where, "gpu")) or findings.has((*where, "gpu", "count")):
            nodes.unsure.add(index)
        _check_gpu((*where, "gpu"), entry.gpu, hardware, findings)
        if entry.fabric is not None:
            _check_fabric((*where, "fabric"), entry.fabric, hardware, findings)
    return nodes


def _absent(where: Field, entry: NodeEntry, names: list[str], findings: Findings) -> set[str]:
    """The nodes of an entry that leave."""
    if entry.state == "absent":
        return set(names)
    if entry.absent is None:
        return set()
    at = (*where, "absent")
    leaving = _expand(at, entry.absent, nodeset.MAX_NAMES, findings) or []
    unknown = [name for name in leaving if name not in names]
    if unknown:
        findings.add(at, f"found {_quoted(unknown)}, expected some of the hosts of this entry")
    return set(leaving) & set(names)


def _machines(
    where: Field, entry: NodeEntry, names: list[str], seen: dict[str, tuple[str, Field]], findings: Findings
) -> Machines:
    at_hosts = (*where, "hosts")
    machines = Machines(names, names, [])
    if entry.addresses is None:
        _check_addresses(at_hosts, names, names, seen, findings)
    else:
        at = (*where, "addresses")
        addresses = _addresses(at, entry.addresses, names, findings)
        if addresses is not None:
            machines.addresses = addresses
            _check_addresses(at, addresses, names, seen, findings)
    if entry.fabric is not None and entry.fabric.addresses is not None:
        at = (*where, "fabric", "addresses")
        addresses = _addresses(at, entry.fabric.addresses, names, findings)
        if addresses is not None:
            machines.fabric_addresses = addresses
            _check_addresses(at, addresses, names, seen, findings)
    return machines


def _expand(
    where: Field, text: str, limit: int, findings: Findings, what: str = "a node set such as gpu[01-16]"
) -> list[str] | None:
    try:
        return nodeset.expand(text, limit)
    except nodeset.NodeSetError as error:
        findings.add(where, f'found "{shorten(text)}", expected {what}: {error}')
        return None


def _addresses(
    where: Field, given: str | list[str], names: list[str], findings: Findings
) -> list[str] | None:
    """The addresses of an entry, one for each name; None after a problem."""
    limit = nodeset.MAX_NAMES
    if isinstance(given, str):
        addresses = _expand(where, given, limit, findings, ADDRESSES)
    else:
        addresses = []
        for index, text in enumerate(given):
            found = _expand((*where, index), text, limit - len(addresses), findings, ADDRESSES)
            if found is None:
                return None
            addresses.extend(found)
    if addresses is not None and len(addresses) != len(names):
        hosts = "1 host" if len(names) == 1 else f"{len(names)} hosts"
        count = "1 address" if len(addresses) == 1 else f"{len(addresses)} addresses"
        findings.add(where, f"found {count} for {hosts}, expected one address for each host")
        return None
    return addresses


def _check_names(where: Field, names: list[str], seen: dict[str, Field], findings: Findings) -> list[str]:
    """Check the names of one entry; returns those that cannot name a host."""
    wrong: list[str] = []
    twice: list[str] = []
    earlier: Field = where
    for name in names:
        if _refused(syntax.check_host_name, name):
            wrong.append(name)
        key = name.lower()
        if key in seen:
            twice.append(name)
            earlier = seen[key]
        else:
            seen[key] = where
    if wrong:
        what = _refused(syntax.check_host_name, wrong[0])
        findings.add(where, f"found {_quoted(wrong)}, which cannot name a host, expected {what}")
    if twice:
        place = "in this node set" if earlier == where else f"at line {findings.line(earlier)} already"
        message = f"found {_quoted(twice)} twice ({place}), expected each node once"
        findings.add(where, message, again=True)
    return wrong


def _check_addresses(
    where: Field,
    addresses: list[str],
    names: list[str],
    seen: dict[str, tuple[str, Field]],
    findings: Findings,
) -> None:
    """Refuse malformed addresses, and one address for two nodes (its own may stand in both lists)."""
    reported = False
    for address, name in zip(addresses, names, strict=True):
        what = _refused(syntax.check_address, address)
        if what:
            if where[-1] != "hosts" and not reported:
                findings.add(where, f'found "{shorten(address)}", expected an address: {what}')
                reported = True
            continue
        key = syntax.same_address(address)
        owner, place = seen.setdefault(key, (name, where))
        taken = owner != name or place == where
        if taken and (owner, place) != (name, where) and not reported:
            reported = True
            findings.add(
                where,
                f"found {address} for {shorten(name)}, expected another address: {shorten(owner)} has it "
                f"(line {findings.line(place)})",
            )


def _refused(check_word: Callable[[str], None], word: str) -> str:
    """What a check says against a word; empty where it has nothing against it."""
    try:
        check_word(word)
    except syntax.WordError as problem:
        return str(problem)
    return ""


def _quoted(names: list[str]) -> str:
    shown = ", ".join(f'"{shorten(name)}"' for name in names[:REPORTED_PER_ENTRY])
    more = len(names) - REPORTED_PER_ENTRY
    return f"{shown} and {more:,} more" if more > 0 else shown


def _check_gpu(where: Field, gpu: Gpu, hardware: Hardware, findings: Findings) -> None:
    if gpu.model is None:
        if gpu.count > 0:
            models = listing(hardware.gpus, limit=6)
            findings.add((*where, "model"), f"found nothing, expected a model of the GPU table: {models}")
    elif gpu.model not in hardware.gpus:
        findings.add(
            (*where, "model"),
            f'found the unknown GPU model "{shorten(gpu.model)}", expected a row of the GPU table: '
            f"{listing(hardware.gpus, limit=30)}{nearest(gpu.model, hardware.gpus)}",
        )


def _check_fabric(where: Field, fabric: Fabric, hardware: Hardware, findings: Findings) -> None:
    rate = hardware.rates.get(fabric.rate)
    fitting = [name for name, row in hardware.rates.items() if fabric.kind in row.kinds]
    if rate is None:
        near = nearest(fabric.rate, hardware.rates)
        found = f'found the unknown rate "{shorten(fabric.rate)}"'
        findings.add((*where, "rate"), f"{found}, expected {listing(fitting, limit=20)}{near}")
    elif fabric.kind not in rate.kinds and not findings.has((*where, "kind")):
        findings.add(
            (*where, "rate"), f"found {fabric.rate} on {fabric.kind}, expected {listing(fitting, limit=20)}"
        )
    repeated = sorted({name for name in fabric.hcas if fabric.hcas.count(name) > 1})
    if repeated:
        findings.add((*where, "hcas"), f"found {listing(repeated)} twice, expected each HCA once")
    if fabric.hcas and fabric.kind == "ethernet" and not findings.has((*where, "kind")):
        findings.add((*where, "hcas"), "found HCAs on ethernet, expected none (with RDMA its kind is roce)")
    if fabric.ports is not None and len(fabric.hcas) > fabric.ports:
        found = f"found {fabric.ports} for {len(fabric.hcas)} HCAs"
        findings.add((*where, "ports"), f"{found}, expected at least one port for each")
