"""The rehearsal image as the lab makes it: from the lab's own Debian, with the engine's files on top."""

from __future__ import annotations

import tempfile
from pathlib import Path

from nimctl.lab import apt
from nimctl.lab.images import ORIGIN, Recipe, Workshop, data
from nimctl.lab.tarball import File, Files
from nimctl.rehearsal import image


def recipes(sources: apt.Sources, scratch: Path) -> tuple[Recipe, Recipe]:
    """How the base and the image are made; a changed engine replaces only the thin upper layer."""
    base = Recipe(
        "rehearsal-base",
        ORIGIN,
        data("prepare.sh") + data("rehearsal.sh"),
        (("PACKAGES", " ".join(image.PACKAGES)),),
        sources.files(),
        (),
    )
    # Whoever the container runs as may write to the cache, as long as nothing is mounted on it.
    finish = "install -d -m 0777 /opt/nim/.cache\n"
    changes = ("USER 1000:1000", 'CMD ["/opt/nim/start_server.sh"]')
    return base, Recipe("rehearsal", base.reference, finish, (), _engine_files(scratch), changes)


def rehearsal_image(workshop: Workshop) -> str:
    """Make the rehearsal image where it is missing; its reference.

    Raises:
        NimctlError: it cannot be made.
    """
    base, top = recipes(apt.detect(), workshop.scratch)
    if not workshop.engine.has_image(top.reference):
        workshop.build(top, workshop.made(base))
    return top.reference


def _engine_files(scratch: Path) -> Files:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        root = Path(folder)
        image.write_rootfs(root)
        return {
            f"/{path.relative_to(root)}": File(path.read_bytes(), path.stat().st_mode & 0o777)
            for path in sorted(root.rglob("*"))
            if path.is_file()
        }
