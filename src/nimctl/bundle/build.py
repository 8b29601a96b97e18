"""Make a bundle. What an interrupted run has fetched is not fetched again."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from nimctl import __version__
from nimctl.bundle import archives, deb, rpm, weights
from nimctl.bundle.deb import AptRoot
from nimctl.bundle.images import Layout, Pull
from nimctl.bundle.layout import (
    ABOUT,
    BLOBS,
    DESCRIPTION,
    IMAGES,
    PACKAGES,
    SUMS,
    About,
    Image,
    Platform,
    write_about,
    write_sums,
)
from nimctl.bundle.questions import Inventory, Kind, preferences
from nimctl.bundle.rpm import DnfRoot
from nimctl.bundle.store import Store, Tell, checksum, open_bundle
from nimctl.bundle.wishes import Wishes, wishes_of
from nimctl.errors import NimctlError, RefusedError
from nimctl.image import parse
from nimctl.lock import Lock, lock_file, read_lock, write_lock
from nimctl.placement import Placement
from nimctl.registry import access
from nimctl.run.names import fold
from nimctl.stack import versions
from nimctl.stack.locking import chosen, with_stack
from nimctl.stack.repositories import Repository
from nimctl.stack.versions import Versions

WORK = ".work"


class Report(Protocol):
    """Who is told how the work goes."""

    def say(self, text: str) -> None:
        """One line for a person."""

    def begin(self, title: str, size: int) -> Tell:
        """A piece of work of so many bytes begins; gives what is told of each part of it."""


FetchKey = Callable[[str, str], str]
"""Fetches the key at an address, which must have a fingerprint."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to make: for a placement of an inventory folder, with each node's host as the probe has it.

    ``sources`` are files with lists of package sources for the nodes' distributions.
    """

    folder: Path
    placement: Placement
    hosts: Mapping[str, Mapping[str, Any]]
    sources: Sequence[Path] = ()
    with_weights: bool = False


@dataclass
class _Root:
    """Where one platform's packages are chosen and fetched, and what its kinds of nodes need."""

    platform: Platform
    root: AptRoot | DnfRoot
    fetch_key: FetchKey
    known: set[str] = field(default_factory=set)
    wishes: list[Wishes] = field(default_factory=list)

    def ask(self, repository: Repository, names: tuple[str, ...]) -> dict[str, list[str]]:
        """Which versions a repository offers; one without an address stands for the distribution's own."""
        if not repository.url:
            return self.root.offered(names)
        self.have(repository)
        return self.root.offered(names, self.file(repository))

    def file(self, repository: Repository) -> str:
        """The name of the list of sources of a repository."""
        return f"nimctl-{repository.id}.{'sources' if repository.kind == 'apt' else 'repo'}"

    def have(self, repository: Repository) -> None:
        """Add a repository, verified with its key, once."""
        if repository.id in self.known or not repository.url:
            return
        name = self.file(repository)
        key = self.fetch_key(repository.key_url, repository.fingerprint)
        self.root.add(name, source_text(repository, self.root.key(name)), key)
        self.root.update()
        self.known.add(repository.id)


def source_text(repository: Repository, key: Path) -> str:
    """A repository as a list of sources for apt or dnf."""
    if repository.kind == "dnf":
        return (
            f"[nimctl-{repository.id}]\nname=nimctl-{repository.id}\nbaseurl={repository.url}\nenabled=1\n"
            f"gpgcheck=1\ngpgkey=file://{key}\nmodule_hotfixes=1\n"
        )
    lines = ["Types: deb", f"URIs: {repository.url}", f"Suites: {repository.suite}"]
    if repository.components:
        lines.append(f"Components: {' '.join(repository.components)}")
    return "\n".join([*lines, f"Signed-By: {key}"]) + "\n"


class Build:
    """One bundle in the making, in a folder."""

    def __init__(self, order: Order, target: Path, report: Report, fetch_key: FetchKey) -> None:
        self._order = order
        self._target = target
        self._report = report
        self._fetch_key = fetch_key
        self._is_tar = target.suffix == ".tar"
        self._folder = target.with_name(f"{target.name}.parts") if self._is_tar else target
        self._tables: Versions = versions.load(order.folder)

    def run(self) -> Store:
        """Make it. Raises NimctlError; the same call goes on where it stopped."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / SUMS).unlink(missing_ok=True)
        kinds = Inventory(self._order.folder).kinds(self._order.hosts)
        roots = self._choose(kinds)
        self._lock(roots)
        platforms = tuple(self._packages(root) for root in roots.values())
        images = self._images(platforms)
        weights.write(
            self._order.placement.cluster,
            self._folder,
            self._report.begin,
            with_files=self._order.with_weights,
        )
        self._about(kinds, platforms, images)
        shutil.rmtree(self._folder / WORK, ignore_errors=True)
        self._seal()
        return open_bundle(self._pack() if self._is_tar else self._folder)

    def _choose(self, kinds: Sequence[Kind]) -> dict[str, _Root]:
        roots: dict[str, _Root] = {}
        refused = []
        for kind in kinds:
            root = self._root(kind, roots)
            self._report.say(f"choosing the packages of {fold(kind.nodes)} ({root.platform.name})")
            try:
                wishes = wishes_of(list(kind.nodes), kind.host, kind.questions, root.ask, self._tables)
            except RefusedError as error:
                refused.append(str(error))
                continue
            for repository in wishes.repositories.values():
                root.have(repository)
            root.wishes.append(wishes)
        if refused:
            raise RefusedError(
                "The bundle cannot be made.\n"
                + "\n".join(refused)
                + "\nWhat nodes have already, such as a vendor's driver, is learnt from --hosts."
            )
        return roots

    def _root(self, kind: Kind, roots: dict[str, _Root]) -> _Root:
        platform = self._platform(kind)
        if platform.name in roots:
            return roots[platform.name]
        folder = self._folder / WORK / platform.name
        row = self._tables.distributions[platform.distribution]
        made: AptRoot | DnfRoot
        if platform.manager == "apt":
            made = AptRoot(folder.absolute(), platform.architecture)
        else:
            made = DnfRoot(folder.absolute(), platform.architecture, str(row.version))
        made.prepare()
        texts = archives.sources(row, platform.architecture, self._order.sources, self._tables)
        for name, text in texts.items():
            made.add(name, text)
        self._report.say(f"fetching the package lists of {platform.name}")
        made.update()
        roots[platform.name] = _Root(platform, made, self._fetch_key)
        return roots[platform.name]

    def _platform(self, kind: Kind) -> Platform:
        system = kind.host["system"]
        row = self._tables.distribution(system["distribution"], str(system["version"]))
        return Platform(row.name, system["architecture"], row.manager)

    def _lock(self, roots: Mapping[str, _Root]) -> None:
        """Lock the versions that were chosen, so that the run without network chooses them again."""
        plans = {
            f"{root.platform.name} {number}": dict(wishes.locks)
            for root in roots.values()
            for number, wishes in enumerate(root.wishes)
        }
        before = read_lock(self._order.folder) or Lock()
        found, notes = chosen(plans)
        for note in notes:
            self._report.say(f"note: {note}")
        write_lock(self._order.folder, with_stack(before, found))

    def _packages(self, root: _Root) -> Platform:
        name = root.platform.name
        folder = self._folder / PACKAGES / name
        folder.mkdir(parents=True, exist_ok=True)
        store = root.root.folder / ("cache/archives" if root.platform.manager == "apt" else "packages")
        for file in [*folder.glob("*.deb"), *folder.glob("*.rpm")]:
            if not (store / file.name).exists():
                os.link(file, store / file.name)
        fetched: dict[str, Path] = {}
        for wishes in root.wishes:
            if isinstance(root.root, AptRoot):
                root.root.prefer([preferences(*release) for release in wishes.releases])
            watch = _Watch(self._report, f"packages of {name}")
            fetched.update({file.name: file for file in root.root.download(wishes.packages, watch)})
        shutil.rmtree(folder)
        folder.mkdir()
        for file in fetched.values():
            os.link(file, folder / file.name)
        index = deb.index if root.platform.manager == "apt" else rpm.index
        return Platform(
            root.platform.distribution, root.platform.architecture, root.platform.manager, index(folder)
        )

    def _images(self, platforms: Sequence[Platform]) -> tuple[Image, ...]:
        cluster = self._order.placement.cluster
        lock = read_lock(self._order.folder) or Lock()
        architectures = sorted({platform.architecture for platform in platforms})
        layout = Layout(self._folder / IMAGES)
        images = []
        for reference in sorted({deployment.image for deployment in cluster.deployments}):
            digest = parse(reference).digest or lock.images.get(reference)
            if digest is None:
                raise NimctlError(f"{reference}: its digest is not locked; run nimctl lock first")
            pull = Pull(reference, digest, access(cluster, reference))
            pieces = pull.manifests(layout, architectures)
            tell = self._report.begin(reference, sum(piece.size for piece in pieces))
            for piece in pieces:
                pull.blob(piece, layout, tell)
            images.append(pull.describe(layout, architectures))
        if images:
            wanted = {digest for image in images for digest in (image.digest, *image.blobs)}
            for old in layout.blobs.iterdir():
                if f"sha256:{old.name}" not in wanted:
                    old.unlink()
            layout.finish(images)
        return tuple(images)

    def _about(
        self, kinds: Sequence[Kind], platforms: tuple[Platform, ...], images: tuple[Image, ...]
    ) -> None:
        cluster = self._order.placement.cluster
        copies = self._folder / DESCRIPTION
        copies.mkdir(exist_ok=True)
        sums = {}
        for source in (cluster.file, lock_file(self._order.folder)):
            if source is not None and source.exists():
                shutil.copyfile(source, copies / source.name)
                with source.open("rb") as stream:
                    sums[source.name] = checksum(stream)
        about = About(
            cluster=cluster.name,
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            nimctl=__version__,
            description=sums,
            platforms=platforms,
            nodes={node: self._platform(kind).name for kind in kinds for node in kind.nodes},
            hosts=tuple({"nodes": list(kind.nodes), "host": dict(kind.host)} for kind in kinds),
            images=images,
        )
        (self._folder / ABOUT).write_text(write_about(about), encoding="utf-8")

    def _seal(self) -> None:
        """Write the checksums of all files, last: a folder without them is not finished."""
        files = sorted(path for path in self._folder.rglob("*") if path.is_file())
        tell = self._report.begin("checksums", sum(path.stat().st_size for path in files))
        sums = {}
        for file in files:
            path = str(file.relative_to(self._folder))
            with file.open("rb") as stream:
                sums[path] = checksum(stream, tell)
            if path.startswith(f"{BLOBS}/") and sums[path] != file.name:
                file.unlink()
                raise NimctlError(
                    f"{file}: is not what its name says and was thrown away; run the same command again"
                )
        unfinished = self._folder / f"{SUMS}.new"
        unfinished.write_text(write_sums(sums), encoding="utf-8")
        unfinished.replace(self._folder / SUMS)

    def _pack(self) -> Path:
        files = sorted(path for path in self._folder.rglob("*") if path.is_file())
        tell = self._report.begin(self._target.name, sum(path.stat().st_size for path in files))
        unfinished = self._target.with_name(f".{self._target.name}.new")
        # What it is comes first, so that a reader need not go through everything.
        files.sort(key=lambda path: (path.name not in (ABOUT, SUMS) or path.parent != self._folder, path))
        with tarfile.open(unfinished, "w", format=tarfile.PAX_FORMAT) as archive:
            for file in files:
                archive.add(file, str(file.relative_to(self._folder)), recursive=False)
                tell(file.stat().st_size)
        unfinished.replace(self._target)
        shutil.rmtree(self._folder)
        return self._target


class _Watch:
    """Turns "so many of so many" into steps."""

    def __init__(self, report: Report, title: str) -> None:
        self._report = report
        self._title = title
        self._tell: Tell | None = None
        self._told = 0

    def __call__(self, done: int, total: int) -> None:
        if self._tell is None:
            self._tell = self._report.begin(self._title, total)
        self._tell(done - self._told)
        self._told = done
