"""Log lines on standard output: time, level, rank, message."""

from __future__ import annotations

import logging
import sys

log = logging.getLogger("rehearsal")


class _Rank(logging.Filter):
    """Put the number of this rank on every record; ``?`` until it is known."""

    number = "?"

    def filter(self, record: logging.LogRecord) -> bool:
        record.rank = self.number
        return True


_rank = _Rank()


def start(level: str = "INFO") -> None:
    """Send every record of ``level`` and above to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [rank %(rank)s] %(message)s"))
    handler.addFilter(_rank)
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(getattr(logging, level.upper(), logging.INFO))


def set_rank(rank: int) -> None:
    """Name the rank in all further lines."""
    _rank.number = str(rank)
