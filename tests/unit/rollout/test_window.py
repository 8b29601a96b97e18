from datetime import datetime

import pytest

from nimctl.errors import RejectedError
from nimctl.rollout.window import deadline


@pytest.mark.parametrize(
    ("now", "text", "then"),
    [
        ("2026-11-24 22:00", "03:30", "2026-11-25 03:30"),
        ("2026-11-24 01:00", "03:30", "2026-11-24 03:30"),
        ("2026-11-24 01:00", "3:30", "2026-11-24 03:30"),
        # Too late: it has passed, instead of giving a window of nearly a day.
        ("2026-11-24 03:40", "03:30", "2026-11-24 03:30"),
        ("2026-11-24 03:00", "22:00", "2026-11-23 22:00"),
        ("2026-11-24 03:30", "03:30", "2026-11-24 03:30"),
    ],
)
def test_a_time_of_day_is_the_one_of_this_window(now, text, then):
    assert deadline(text, datetime.fromisoformat(now)) == datetime.fromisoformat(then)


@pytest.mark.parametrize("text", ["24:00", "3", "03:60", "soon", ""])
def test_other_texts_are_refused(text):
    with pytest.raises(RejectedError, match="expected a time of day"):
        deadline(text, datetime(2026, 11, 24))
