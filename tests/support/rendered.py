"""Every worked inventory as every target renders it, as files that the tests compare strictly.

After an intended change, write them again and read the difference before committing it:

    .venv/bin/python tests/support/rendered.py
"""

from __future__ import annotations

import shutil
from pathlib import Path

from renderings import INVENTORIES, as_read, render

FOLDER = Path(__file__).parents[1] / "unit" / "render" / "golden"
CASES = tuple(
    (inventory, target)
    for inventory, targets in {
        "mixed": ("k8s", "slurm", "compose", "docker"),
        "prod": ("k8s", "nimservice", "slurm", "compose", "docker"),
        "prod-lustre-405b": ("k8s", "slurm", "compose", "docker"),
        "single-node-fp8": ("k8s", "nimservice", "slurm", "compose", "docker"),
    }.items()
    for target in targets
)


def text(inventory: str, target: str) -> str:
    """All files of a target in one text, each below its path."""
    texts = render(as_read(INVENTORIES / inventory, target), target)
    return "".join(f"==> {path}\n{content}" for path, content in texts.items())


def main() -> None:
    """Write every file again."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    for inventory, target in CASES:
        (FOLDER / f"{inventory}.{target}.txt").write_text(text(inventory, target), encoding="utf-8")


if __name__ == "__main__":
    main()
