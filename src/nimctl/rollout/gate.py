"""Whether a further batch may begin."""

from __future__ import annotations

from collections.abc import Sequence

from nimctl.run.names import fold


def refusal(failed: Sequence[str], max_fail: int, until: str, deadline: float | None, now: float) -> str:
    """Why no batch begins any more; empty where one may. ``deadline`` and ``now`` in Unix time."""
    if len(failed) > max_fail:
        return f"its change did not begin, because {fold(failed)} failed (--max-fail {max_fail})"
    if deadline is not None and now >= deadline:
        return f"its change did not begin, because it is after {until}; the next window goes on with it"
    return ""
