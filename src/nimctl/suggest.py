"""Commands that messages suggest, ready to be pasted into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path


def command(folder: Path | None, verb: str, *words: str) -> str:
    """``nimctl VERB -i FOLDER WORDS``, quoted; ``DIR`` stands for a folder that nobody knows here."""
    return shlex.join(["nimctl", verb, "-i", str(folder) if folder else "DIR", *words])
