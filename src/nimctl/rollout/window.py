"""Until when a change window starts anything."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from nimctl.errors import RejectedError

LONGEST = timedelta(hours=12)
"""A time of day that is further away than this is one that has passed."""


def deadline(text: str, now: datetime) -> datetime:
    """The moment that a time of day such as ``03:30`` means; ``now`` is local time of the controller.

    A window is shorter than half a day: at 22:00, 03:30 is tomorrow's; at 03:40 it has passed, so that a
    run which begins late starts nothing. Raises RejectedError.
    """
    match = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", text.strip())
    if match is None:
        raise RejectedError(f"--start-nothing-after {text}: expected a time of day such as 03:30")
    today = now.replace(hour=int(match[1]), minute=int(match[2]), second=0, microsecond=0)
    if today < now:
        tomorrow = today + timedelta(days=1)
        return tomorrow if tomorrow - now <= LONGEST else today
    return today if today - now <= LONGEST else today - timedelta(days=1)
