"""Files on their way into a container: a tar stream with owners and modes as they shall be there."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class File:
    """One regular file; owned by root in the container."""

    content: bytes
    mode: int = 0o644


Files = Mapping[str, File]
"""Files by their absolute path."""


def pack(files: Files) -> bytes:
    """A tar stream to be unpacked at ``/``; parent folders are made 0755 where they are missing."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, file in sorted(files.items()):
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size = len(file.content)
            member.mode = file.mode
            archive.addfile(member, io.BytesIO(file.content))
    return stream.getvalue()


def folders(files: Files) -> list[str]:
    """Every folder that the files lie in, parents first."""
    found = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    return sorted(found - {"/"})


def digest(files: Files) -> str:
    """A fingerprint of names, modes and contents."""
    summary = hashlib.sha256()
    for path, file in sorted(files.items()):
        summary.update(f"{path}\0{file.mode:o}\0{len(file.content)}\0".encode())
        summary.update(file.content)
    return summary.hexdigest()
