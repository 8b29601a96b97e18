"""``cluster.lock.yml``: what a run must not move by itself: images, placement, versions, fabrics of nodes.

This module holds the shape, reading and writing; ``locking`` decides what goes into it.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nimctl.description.marks import Positions
from nimctl.description.source import SourceError, parse, read_text
from nimctl.errors import DescriptionError, Field, NimctlError, Problem
from nimctl.image import is_digest
from nimctl.suggest import command

FILE = "cluster.lock.yml"
PLUGIN = "nimctl.multinode.cluster"
VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+~:-]*")
_DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
_HEADER = """\
# What a run follows and does not move by itself: image digests, placement, versions of the host stack,
# and the HCAs and interfaces that were found on the nodes.
# Written by `nimctl lock` and by the first run; keep it in version control.
# `nimctl lock --upgrade [WHAT]` moves it and shows the difference. Do not edit it by hand.
"""


@dataclass(frozen=True, slots=True)
class Seat:
    """A place for one rank: a node, and which of its GPUs (none on a node without)."""

    node: str
    gpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class ReplicaSeats:
    """The places of one replica's ranks, rank 0 first, and its internal ports by name."""

    seats: tuple[Seat, ...]
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a run has found of a node's place in the fabric, where the description leaves it open."""

    hcas: tuple[str, ...] = ()
    interface: str = ""

    def __bool__(self) -> bool:
        return bool(self.hcas or self.interface)

    def __str__(self) -> str:
        said = [*([f"HCAs {', '.join(self.hcas)}"] if self.hcas else [])]
        return "; ".join([*said, *([f"interface {self.interface}"] if self.interface else [])])


@dataclass(frozen=True, slots=True)
class PlannedSplit:
    """How a deployment that does not say it is split; ``precision`` is empty for the model's own."""

    tensor: int
    pipeline: int
    precision: str = ""

    def __str__(self) -> str:
        precision = f", {self.precision}" if self.precision else ""
        return f"tensor {self.tensor}, pipeline {self.pipeline}{precision}"


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock file's content.

    ``images`` maps references as they stand in the description to digests, ``placement`` a deployment to its
    replicas, ``stack`` a layer of the host stack to its ``version``, ``nodes`` a node to its fabric,
    ``planned`` a deployment to the split that was filled in for it.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    placement: Mapping[str, tuple[ReplicaSeats, ...]] = field(default_factory=dict)
    stack: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    nodes: Mapping[str, Attachment] = field(default_factory=dict)
    planned: Mapping[str, PlannedSplit] = field(default_factory=dict)


def lock_file(folder: Path) -> Path:
    """Where the lock of a description lies."""
    return folder / FILE


def read_lock(folder: Path) -> Lock | None:
    """The lock beside a description, None where there is none; raises DescriptionError, all located."""
    file = lock_file(folder)
    if not file.exists():
        return None
    try:
        data, mark, problems = parse(read_text(file), file)
    except SourceError as error:
        raise DescriptionError(error.problems) from error
    reader = _Reader(file, Positions(mark), list(problems))
    lock = reader.lock(data)
    if reader.problems:
        raise DescriptionError(reader.problems)
    return lock


class _Reader:
    """Checks a lock's values and collects what is wrong with them."""

    def __init__(self, file: Path, positions: Positions, problems: list[Problem]) -> None:
        self.file = file
        self.positions = positions
        self.problems = problems

    def wrong(self, at: Field, message: str) -> None:
        fill = command(self.file.parent, "lock")
        hint = f"; delete what is wrong and run `{fill}`, which fills in what is missing"
        self.problems.append(Problem(at, message + hint, self.file, *self.positions.key(at)))

    def lock(self, data: Any) -> Lock:
        if not isinstance(data, dict):
            self.wrong((), "expected a mapping with version, images and placement")
            return Lock()
        for key in data.keys() - {"plugin", "version", "images", "placement", "stack", "nodes", "planned"}:
            self.wrong((str(key),), "is no key of a lock file")
        if data.get("version") != VERSION:
            self.wrong(("version",), f"found {data.get('version')!r}, this nimctl reads version {VERSION}")
        if data.get("plugin") != PLUGIN:
            self.wrong(
                ("plugin",), f"expected `plugin: {PLUGIN}`, or Ansible takes this file for an inventory"
            )
        return Lock(
            self._images(data.get("images") or {}),
            self._placement(data.get("placement") or {}),
            self._stack(data.get("stack") or {}),
            self._nodes(data.get("nodes") or {}),
            self._planned(data.get("planned") or {}),
        )

    def _planned(self, data: Any) -> dict[str, PlannedSplit]:
        if not isinstance(data, dict):
            self.wrong(("planned",), "expected a mapping of deployments to their split")
            return {}
        found = {}
        for name, said in data.items():
            sizes = [said.get(key) for key in ("tensor", "pipeline")] if isinstance(said, dict) else []
            precision = said.get("precision", "") if isinstance(said, dict) else None
            good = len(sizes) == 2 and all(type(size) is int and size > 0 for size in sizes)
            if not good or precision not in ("", "bf16", "fp8"):
                self.wrong(("planned", str(name)), "expected a mapping with `tensor` and `pipeline`")
                continue
            found[str(name)] = PlannedSplit(said["tensor"], said["pipeline"], precision)
        return found

    def _nodes(self, data: Any) -> dict[str, Attachment]:
        if not isinstance(data, dict):
            self.wrong(("nodes",), "expected a mapping of nodes to their HCAs and interface")
            return {}
        return {str(name): self._attachment(said, ("nodes", name)) for name, said in data.items()}

    def _attachment(self, data: Any, at: Field) -> Attachment:
        if not isinstance(data, dict) or data.keys() - {"hcas", "interface"}:
            self.wrong(at, "expected a mapping with `hcas` and `interface`")
            return Attachment()
        hcas, interface = data.get("hcas", []), data.get("interface", "")
        if not isinstance(hcas, list) or not all(_is_device(hca) for hca in hcas):
            self.wrong((*at, "hcas"), "expected a list of HCAs such as mlx5_0")
            return Attachment()
        if interface and not _is_device(interface):
            self.wrong((*at, "interface"), "expected the name of a network interface")
            return Attachment(tuple(hcas))
        return Attachment(tuple(hcas), interface)

    def _stack(self, data: Any) -> dict[str, dict[str, str]]:
        if not isinstance(data, dict):
            self.wrong(("stack",), "expected a mapping of layers to their versions")
            return {}
        for layer, said in data.items():
            version = said.get("version") if isinstance(said, dict) and len(said) == 1 else None
            if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
                self.wrong(("stack", layer), "expected a mapping with `version`")
        return data

    def _images(self, data: Any) -> dict[str, str]:
        if not isinstance(data, dict):
            self.wrong(("images",), "expected a mapping of image references to digests")
            return {}
        for reference, digest in data.items():
            if not isinstance(digest, str) or not is_digest(digest):
                self.wrong(("images", reference), "expected sha256: and 64 hexadecimal digits")
        return data

    def _placement(self, data: Any) -> dict[str, tuple[ReplicaSeats, ...]]:
        if not isinstance(data, dict):
            self.wrong(("placement",), "expected a mapping of deployments to their replicas")
            return {}
        placement = {}
        for name, replicas in data.items():
            at: Field = ("placement", name)
            if not isinstance(replicas, list):
                self.wrong(at, "expected a list of replicas")
                continue
            placement[name] = tuple(self._replica(replica, (*at, i)) for i, replica in enumerate(replicas))
        return placement

    def _replica(self, data: Any, at: Field) -> ReplicaSeats:
        if not isinstance(data, dict) or not isinstance(data.get("ranks"), list) or not data["ranks"]:
            self.wrong(at, "expected a mapping with `ranks`, a list of nodes and GPUs")
            return ReplicaSeats(())
        for key in data.keys() - {"ranks", "ports"}:
            self.wrong((*at, str(key)), "is no key of a locked replica")
        ports = data.get("ports") or {}
        if not isinstance(ports, dict) or not all(type(p) is int and 0 < p < 65536 for p in ports.values()):
            self.wrong((*at, "ports"), "expected a mapping of names to port numbers")
            ports = {}
        return ReplicaSeats(
            tuple(self._seat(seat, (*at, "ranks", i)) for i, seat in enumerate(data["ranks"])), ports
        )

    def _seat(self, data: Any, at: Field) -> Seat:
        node = data.get("node") if isinstance(data, dict) else None
        gpus = data.get("gpus", []) if isinstance(data, dict) else None
        if not isinstance(node, str) or _NAME.fullmatch(node) is None:
            self.wrong(at, "expected a mapping with `node` and `gpus`")
            return Seat("")
        if (
            not isinstance(gpus, list)
            or not all(type(g) is int and g >= 0 for g in gpus)
            or len(set(gpus)) < len(gpus)
        ):
            self.wrong((*at, "gpus"), "expected a list of different GPU numbers")
            return Seat(node)
        return Seat(node, tuple(gpus))


def format_lock(lock: Lock) -> str:
    """Write a lock as text: sorted, one line for each rank, the same text for the same lock."""
    lines = [_HEADER + f"plugin: {PLUGIN}", f"version: {VERSION}"]
    lines.append("images:" if lock.images else "images: {}")
    lines += [f"  {_quoted(reference)}: {digest}" for reference, digest in sorted(lock.images.items())]
    lines.append("placement:" if lock.placement else "placement: {}")
    for name, replicas in sorted(lock.placement.items()):
        lines.append(f"  {_quoted(name)}:")
        for replica in replicas:
            lines.append("    - ranks:")
            for seat in replica.seats:
                gpus = f", gpus: [{', '.join(map(str, seat.gpus))}]" if seat.gpus else ""
                lines.append(f"        - {{node: {_quoted(seat.node)}{gpus}}}")
            if replica.ports:
                ports = ", ".join(f"{port}: {number}" for port, number in sorted(replica.ports.items()))
                lines.append(f"      ports: {{{ports}}}")
    if lock.planned:
        lines.append("planned:")
        for name, split in sorted(lock.planned.items()):
            precision = f", precision: {split.precision}" if split.precision else ""
            sizes = f"tensor: {split.tensor}, pipeline: {split.pipeline}{precision}"
            lines.append(f"  {_quoted(name)}: {{{sizes}}}")
    if lock.stack:
        lines.append("stack:")
        versions = sorted((layer, said["version"]) for layer, said in lock.stack.items())
        lines += [f'  {layer}: {{version: "{version}"}}' for layer, version in versions]
    if lock.nodes:
        lines.append("nodes:")
        for name, found in sorted(lock.nodes.items()):
            hcas = [f"hcas: [{', '.join(map(_quoted, found.hcas))}]"] if found.hcas else []
            interface = [f"interface: {_quoted(found.interface)}"] if found.interface else []
            lines.append(f"  {_quoted(name)}: {{{', '.join([*hcas, *interface])}}}")
    return "\n".join(lines) + "\n"


def _is_device(name: Any) -> bool:
    return isinstance(name, str) and _DEVICE.fullmatch(name) is not None


def _quoted(text: str) -> str:
    """A name as YAML; quoted where it could be read as something else than text."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9._/@-]*(:[A-Za-z0-9._/@-]+)*", text) and text.lower() not in {
        "true", "false", "yes", "no", "on", "off", "null", "y", "n",
    }  # fmt: skip
    return text if plain else f'"{text}"'


def write_lock(folder: Path, lock: Lock) -> bool:
    """Write the lock in one step, so that nobody reads half of it; returns whether the file changed."""
    file = lock_file(folder)
    text = format_lock(lock)
    try:
        if file.exists() and file.read_text(encoding="utf-8") == text:
            return False
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o644
        handle, name = tempfile.mkstemp(prefix=".cluster.lock.", dir=folder)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.chmod(mode)
            temporary.replace(file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise NimctlError(f"{file}: cannot be written: {error.strerror}") from error
    return True
