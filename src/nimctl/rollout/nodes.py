"""The nodes that somebody names for a drain."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nimctl.description.nodeset import NodeSetError, expand
from nimctl.description.words import nearest
from nimctl.errors import RejectedError


def chosen(texts: Sequence[str], known: Collection[str], absent: Collection[str] = ()) -> list[str]:
    """Expand node sets; every name once, in the order given. Raises RejectedError."""
    found: list[str] = []
    for text in texts:
        try:
            found += expand(text)
        except NodeSetError as error:
            raise RejectedError(f"{text}: expected a node set such as gpu[01-04]: {error}") from error
    for name in found:
        if name in absent:
            raise RejectedError(f"{name} is leaving the cluster (absent in the description); it has no ranks")
        if name not in known:
            raise RejectedError(f"{name} is no node of this cluster{nearest(name, known)}")
    return list(dict.fromkeys(found))
