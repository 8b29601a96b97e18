"""Taking a lab down: everything that carries its label goes, however far its start came."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nimctl.errors import NimctlError
from nimctl.lab import describe, inside
from nimctl.lab.command import CommandError, root_prefix, run
from nimctl.lab.containers import Containers, detect, forget
from nimctl.lab.images import bootstrap_mark, cache_folder
from nimctl.lab.lock import is_held, locked
from nimctl.lab.names import CACHE_LABEL, Names

Say = Callable[[str], None]

_ORPHAN_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Result:
    """What was removed, by name."""

    name: str
    containers: tuple[str, ...]
    volumes: tuple[str, ...]
    networks: tuple[str, ...]
    images: tuple[str, ...]
    files: tuple[str, ...]
    kept: tuple[str, ...]

    def as_json(self) -> dict[str, object]:
        """The documented JSON shape."""
        return {
            "name": self.name,
            "containers": list(self.containers),
            "volumes": list(self.volumes),
            "networks": list(self.networks),
            "images": list(self.images),
            "files": list(self.files),
            "kept": list(self.kept),
        }


def down(name: str, inventory: Path | None, images: bool, say: Say) -> Result:
    """Remove a lab; nothing to remove is fine.

    Args:
        name: The lab.
        inventory: Its inventory folder; None asks the lab, and falls back to ``inventories/NAME``.
        images: Whether the images that all labs share go too.
        say: Tells a person what happens.

    Raises:
        NimctlError: something could not be removed.
    """
    names = Names(name)
    cache = cache_folder()
    scratch = cache / "tmp" / name
    with locked(cache / f"{name}.lock", lambda holder: say(f"waiting: {holder} is working on this lab")):
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine = detect(scratch)
        folder = inventory or Path(inside.look(engine, names).inventory or Path("inventories") / name)
        _await_orphans(names, scratch, say)
        containers = _remove_all(engine, names, "container")
        volumes = _remove_all(engine, names, "volume")
        networks = _remove_all(engine, names, "network")
        gone = _remove_images(engine, say) if images else ()
        files, kept = _remove_files(folder)
        for path in kept:
            say(f"{path} was changed by somebody and stays")
        _remove_tree(scratch)
    for stale in cache.glob("image-*.lock"):
        if not is_held(stale):
            stale.unlink(missing_ok=True)
    for parent in (cache / "tmp", cache):
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()
    return Result(name, containers, volumes, networks, gone, files, kept)


def _await_orphans(names: Names, scratch: Path, say: Say) -> None:
    """Let calls end that an interrupted start left running: they would make things that we just removed.

    Raises:
        NimctlError: they do not end.
    """
    deadline = time.monotonic() + _ORPHAN_SECONDS
    told = False
    while orphans := _orphans(names, scratch):
        if time.monotonic() > deadline:
            raise NimctlError(
                f"Processes of an interrupted start of lab {names.lab} still run: "
                f"{', '.join(map(str, orphans))}.\nEnd them and run this again."
            )
        if not told:
            say("waiting for what an interrupted start left running")
            told = True
        time.sleep(0.2)


def _orphans(names: Names, scratch: Path) -> list[int]:
    """Processes whose arguments carry the lab's label, or the lab's folder for temporary files."""
    marks = {
        mark.encode() for mark in (f"--label={names.label}", f"TMPDIR={scratch}", bootstrap_mark(names.lab))
    }
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                arguments = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if marks.intersection(arguments):
                found.append(int(process.name))
    return found


def _remove_all(engine: Containers, names: Names, kind: str) -> tuple[str, ...]:
    """Remove everything of one kind that carries the lab's label.

    Raises:
        NimctlError: something stays.
    """
    found = _named(engine, names, kind)

    def remove(name: str) -> None:
        if kind == "container":
            engine.remove_container(name)
        else:
            forget(lambda: engine(kind, "rm", "--force", name))

    for _ in range(3):
        present = _named(engine, names, kind)
        if not present:
            return found
        with ThreadPoolExecutor(max_workers=8) as pool:
            list(pool.map(remove, present))
    if left := _named(engine, names, kind):
        raise NimctlError(f"Could not remove of lab {names.lab}: {kind}s {', '.join(left)}.")
    return found


def _named(engine: Containers, names: Names, kind: str) -> tuple[str, ...]:
    if kind == "container":
        return tuple(sorted(engine.containers(names.label)))
    return tuple(sorted(engine.listed(kind, names.label)))


def _remove_images(engine: Containers, say: Say) -> tuple[str, ...]:
    """Remove the images that labs share; one that another lab runs stays."""
    removed = []
    left = engine.listed("image", CACHE_LABEL)
    # Never by force, that would take another lab's nodes along. Children before parents: as long as a
    # round removes something, another may succeed.
    while left:
        done = [image for image in left if engine("rmi", image, check=False).returncode == 0]
        if not done:
            say(f"{len(left)} images stay: another lab uses them")
            break
        removed += done
        left = engine.listed("image", CACHE_LABEL)
    return tuple(removed)


def _remove_files(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Remove what the lab wrote into its inventory folder; says what went and what stayed.

    The description stays where somebody changed it, with the lock beside it.
    """
    removed, kept = [], []
    secret = folder / ".lab"
    if secret.is_dir():
        shutil.rmtree(secret)
        removed.append(str(secret))
    description, lock = folder / "cluster.yml", folder / "cluster.lock.yml"
    for unfinished in folder.glob(".cluster.yml.new"):
        unfinished.unlink()
    if description.is_file():
        if describe.is_generated(description.read_text(errors="replace")):
            for file in (description, lock):
                if file.exists():
                    file.unlink()
                    removed.append(str(file))
        else:
            kept.append(str(description))
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return tuple(removed), tuple(kept)


def _remove_tree(folder: Path) -> None:
    """Remove the lab's temporary files, also those that root's programs made; never across a mount."""
    try:
        run((*root_prefix(), "rm", "-rf", "--one-file-system", "--", str(folder)))
    except CommandError as error:
        raise NimctlError(f"Could not remove {folder}: {error.output.strip()}") from error
