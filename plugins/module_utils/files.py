"""Files that belong to us as a whole: written atomically, remembered, and removed when no longer wanted."""

from __future__ import annotations

import grp
import json
import os
import pwd
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STATE = Path("/var/lib/nimctl")
"""Where a node keeps what it must know between runs."""


@dataclass(frozen=True)
class File:
    """A file as it should be; ``secret`` keeps its content out of differences."""

    path: str
    content: str
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False


@dataclass
class Outcome:
    """What a comparison found or changed: paths in order, and a difference for each."""

    changed: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)

    def add(self, path: str, before: str, after: str) -> None:
        """Note one change; equal texts (an owner or a mode that differed) give no difference."""
        self.changed.append(path)
        if before != after:
            self.diff.append({"before_header": path, "after_header": path, "before": before, "after": after})


def read(path: str | Path) -> str | None:
    """The text of a file, or None where there is none; bytes that are no UTF-8 are kept apart."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_atomic(path: str | Path, content: str, mode: int, uid: int = 0, gid: int = 0) -> list[str]:
    """Write so that a reader sees the old or the new text and never a part; returns the folders it made."""
    target = Path(path)
    made = make_folders(target.parent)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fchown(stream.fileno(), uid, gid)
            os.fsync(stream.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink()
        raise
    return made


def make_folders(folder: Path, mode: int = 0o755) -> list[str]:
    """Make a folder and its missing parents; returns those that were made, outermost first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(mode)
    return [str(path) for path in reversed(missing)]


def apply(file: File, outcome: Outcome, check: bool) -> list[str]:
    """Make one file as it should be; returns the folders that had to be made for it."""
    uid, gid = pwd.getpwnam(file.owner).pw_uid, grp.getgrnam(file.group).gr_gid
    before = read(file.path)
    if before == file.content and attributes(file.path) == (file.mode, uid, gid):
        return []
    if file.secret:
        outcome.add(file.path, "" if before is None else "(a secret)\n", "(another secret)\n")
    else:
        outcome.add(file.path, before or "", file.content)
    if check:
        return []
    return write_atomic(file.path, file.content, file.mode, uid, gid)


def remove(path: str, outcome: Outcome, check: bool, secret: bool = False) -> None:
    """Take a file away where there is one."""
    before = read(path)
    if before is None:
        return
    outcome.add(path, "(a secret)\n" if secret else before, "")
    if not check:
        Path(path).unlink()


def remove_if_empty(folders: list[str]) -> None:
    """Take away folders that hold nothing any more, innermost first."""
    for folder in sorted(folders, key=len, reverse=True):
        path = Path(folder)
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


class Record:
    """What one owner has put on this node, kept in a JSON file of its own."""

    def __init__(self, owner: str, kind: str, state: Path = STATE) -> None:
        self.path = state / kind / f"{owner}.json"
        text = read(self.path)
        self.content: dict[str, Any] = json.loads(text) if text else {}

    def save(self, content: dict[str, Any]) -> None:
        """Remember this instead; an empty record leaves no file."""
        if content == self.content:
            return
        if content:
            write_atomic(self.path, json.dumps(content, indent=1, sort_keys=True) + "\n", 0o600)
        elif self.path.exists():
            self.path.unlink()
        self.content = content


def reconcile(files: list[File], record: Record, check: bool) -> Outcome:
    """Make these files, and only these, the ones that the record's owner has on this node.

    A file that somebody else had at such a path is remembered, and comes back when ours goes. What else the
    record holds stays as it is.
    """
    outcome = Outcome()
    ours: list[str] = list(record.content.get("files", []))
    folders: list[str] = list(record.content.get("folders", []))
    former: dict[str, Any] = dict(record.content.get("replaced", {}))
    own = ("files", "folders", "replaced")
    rest = {key: value for key, value in record.content.items() if key not in own}
    wanted = {file.path for file in files}

    def remember(paths: set[str]) -> None:
        content = {
            "files": sorted(paths),
            "folders": sorted(folders),
            **({"replaced": former} if former else {}),
        }
        record.save({**rest, **content} if paths else rest)

    for path in sorted(set(ours) - wanted):
        _give_back(path, former.get(path), outcome, check)
    former = {path: theirs for path, theirs in former.items() if path in wanted}
    former.update(_others_files(wanted - set(ours)))
    known = wanted | set(ours)
    if not check:
        # Written before the files, so that an interrupted run leaves nothing that nobody remembers.
        remember(known)
    for file in files:
        made = apply(file, outcome, check)
        if made:
            folders = sorted({*folders, *made})
            remember(known)
    if not check:
        remove_if_empty(folders)
        folders = [folder for folder in folders if Path(folder).is_dir()]
        remember(wanted)
    return outcome


def _others_files(paths: set[str]) -> dict[str, Any]:
    """Text and attributes of those files that are there."""
    found = {}
    for path in sorted(paths):
        text = read(path)
        if text is not None:
            mode, uid, gid = attributes(path)
            found[path] = {"text": text, "mode": mode, "uid": uid, "gid": gid}
    return found


def _give_back(path: str, former: dict[str, Any] | None, outcome: Outcome, check: bool) -> None:
    """Put back what was at a path before ours, or nothing where there was nothing."""
    if former is None:
        remove(path, outcome, check)
        return
    outcome.add(path, read(path) or "", former["text"])
    if not check:
        write_atomic(path, former["text"], former["mode"], former["uid"], former["gid"])


def attributes(path: str) -> tuple[int, int, int]:
    """Permissions, uid and gid of a file."""
    status = Path(path).stat()
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid
