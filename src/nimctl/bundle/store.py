"""Open a bundle, a folder or a tar alike, and check that it is what it was when it was made."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from nimctl.bundle.layout import ABOUT, SUMS, About, read_about, read_sums
from nimctl.errors import RejectedError

CHUNK = 4 * 1024 * 1024

Tell = Callable[[int], None]
"""Is told of each piece of work that is done, in bytes."""


class AlteredError(RejectedError):
    """A bundle is not what it was when it was made; names every file."""


@dataclass(frozen=True)
class Store:
    """A bundle at a path; ``members`` has the place and size of each file of a tar."""

    path: Path
    members: Mapping[str, tarfile.TarInfo] | None = None

    @cached_property
    def about(self) -> About:
        """What it is. Raises RejectedError."""
        return read_about(self.text(ABOUT), f"{self.path}/{ABOUT}")

    @cached_property
    def sums(self) -> dict[str, str]:
        """The checksum of every file by path. Raises RejectedError."""
        return read_sums(self.text(SUMS), f"{self.path}/{SUMS}")

    @cached_property
    def id(self) -> str:
        """The checksum of SHA256SUMS, and so of everything."""
        return hashlib.sha256(self.text(SUMS).encode()).hexdigest()

    def text(self, path: str) -> str:
        """A small file as text. Raises RejectedError where it is missing."""
        with self.open(path) as stream:
            return stream.read().decode("utf-8", "surrogateescape")

    def size(self, path: str) -> int:
        """The size of a file in bytes; -1 where it is missing."""
        if self.members is not None:
            return self.members[path].size if path in self.members else -1
        file = self.path / path
        return file.stat().st_size if file.is_file() else -1

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """A file, to be read from its beginning. Raises RejectedError where it is missing."""
        if self.size(path) < 0:
            raise RejectedError(f"{self.path}: lacks the file {path}")
        if self.members is None:
            with (self.path / path).open("rb") as stream:
                yield stream
            return
        # A handle of its own for each reader: several nodes are served at a time.
        with self.path.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:") as archive:
            member = archive.extractfile(self.members[path])
            if member is None:
                raise RejectedError(f"{self.path}: {path} is not a file")
            with member:
                yield member


def open_bundle(path: Path) -> Store:
    """Open a bundle. Raises RejectedError where there is none, or a damaged one."""
    if path.is_dir():
        return Store(path)
    if not path.is_file():
        raise RejectedError(
            f"{path}: there is no bundle; expected the folder or tar that nimctl bundle wrote"
        )
    try:
        with tarfile.open(path, mode="r:") as archive:
            members = {
                member.name.removeprefix("./"): member for member in archive.getmembers() if member.isfile()
            }
    except (tarfile.TarError, OSError) as error:
        raise RejectedError(
            f"{path}: cannot be read as a tar ({error}). Was it compressed, or cut off on its way?"
        ) from error
    return Store(path, members)


def checksum(stream: IO[bytes], tell: Tell = lambda count: None) -> str:
    """The sha256 of a stream in hexadecimal digits."""
    digest = hashlib.sha256()
    while chunk := stream.read(CHUNK):
        digest.update(chunk)
        tell(len(chunk))
    return digest.hexdigest()


def verify(store: Store, tell: Tell = lambda count: None) -> None:
    """Read every file and compare it with SHA256SUMS. Raises AlteredError with all that differ."""
    wrong = []
    listed = store.sums
    if ABOUT not in listed:
        wrong.append(f"{SUMS} does not list {ABOUT}")
    for path, expected in sorted(listed.items()):
        if store.size(path) < 0:
            wrong.append(f"{path} is missing")
            continue
        with store.open(path) as stream:
            found = checksum(stream, tell)
        if found != expected:
            wrong.append(f"{path} was altered: its sha256 is {found}, not {expected}")
    if wrong:
        raise AlteredError(
            f"{store.path}: the bundle is not what it was when it was made. Nothing was done.\n"
            + "\n".join(f"  {each}" for each in wrong)
            + "\nBring it over again, or make it again with nimctl bundle."
        )
