"""Rendered files on disk: written, compared, and removed when they are no longer rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nimctl.errors import NimctlError, RejectedError

STAMP = "Rendered by nimctl"
"""Stands in the first lines of each file, so that a later run knows its own."""

Texts = Mapping[str, str]
"""Text of each file by its path below the folder, with ``/``."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as rendered, by path: missing, of another text, or left from an earlier run."""

    missing: tuple[str, ...]
    changed: tuple[str, ...]
    stale: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.stale)

    def lines(self) -> list[str]:
        """One line for each file, for a person."""
        return [
            *(f"missing  {path}" for path in self.missing),
            *(f"differs  {path}" for path in self.changed),
            *(f"stale    {path}" for path in self.stale),
        ]


def header(cluster: str, *more: str) -> str:
    """The comment at the head of a file."""
    lines = [f"{STAMP} from the description of cluster {cluster}: change that, and render again.", *more]
    return "".join(f"# {line}\n" for line in lines)


def compare(folder: Path, texts: Texts) -> Difference:
    """What of a folder is not as rendered.

    Raises:
        RejectedError: a file of somebody else is in the way.
    """
    missing, changed = [], []
    for path, text in sorted(texts.items()):
        file = folder / path
        if not file.exists():
            missing.append(path)
            continue
        found = _read(file)
        if found == text:
            continue
        if not _is_ours(found):
            raise RejectedError(
                f"{file} was not written by nimctl and would be overwritten; move it away, or render into "
                "another folder"
            )
        changed.append(path)
    stale = [path for path in _ours(folder) if path not in texts]
    return Difference(tuple(missing), tuple(changed), tuple(stale))


def write(folder: Path, texts: Texts) -> Difference:
    """Make a folder hold these files and none that was rendered earlier; what was different."""
    found = compare(folder, texts)
    try:
        for path in (*found.missing, *found.changed):
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(texts[path], encoding="utf-8")
            file.chmod(0o755 if texts[path].startswith("#!") else 0o644)
        for path in found.stale:
            (folder / path).unlink()
            _remove_empty((folder / path).parent, folder)
    except OSError as error:
        raise NimctlError(f"{error.filename}: {error.strerror}; nothing else was written after it") from error
    return found


def _ours(folder: Path) -> list[str]:
    """Files below a folder that an earlier run wrote, sorted."""
    if not folder.is_dir():
        return []
    files = (file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
    return sorted(file.relative_to(folder).as_posix() for file in files if _is_ours(_read(file, 400)))


def _read(file: Path, limit: int = -1) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace", newline="") as stream:
            return stream.read(limit)
    except OSError as error:
        raise RejectedError(f"{file} cannot be read: {error.strerror}") from error


def _is_ours(text: str) -> bool:
    return any(line.startswith(f"# {STAMP} ") for line in text[:400].splitlines()[:3])


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
