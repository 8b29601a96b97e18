"""Which descriptions a run takes its inventory from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

NAMES = ("cluster.yml", "cluster.yaml")


def descriptions(sources: Iterable[str]) -> list[Path]:
    """The descriptions among the sources of an inventory; none for an inventory of another kind."""
    found = []
    for source in sources:
        path = Path(source)
        candidates = (
            [path / name for name in NAMES] if path.is_dir() else [path] if path.name in NAMES else []
        )
        found += [candidate for candidate in candidates if candidate.is_file()][:1]
    return found
