"""Pages name files and tests as evidence; what they name has to be there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "explanation" / "complaints.md"
NAMED = re.findall(r"^- `([^`]+)`$", PAGE.read_text(), re.M)
COMPLAINTS = 12


def test_every_complaint_names_evidence():
    sections = PAGE.read_text().split("\n## ")[1:]
    assert [int(section.split(".")[0]) for section in sections] == list(range(1, COMPLAINTS + 1))
    for section in sections:
        assert "\nToday: " in section
        assert "\nHere " in section
        assert re.search(r"^- `", section, re.M), section


@pytest.mark.parametrize("named", NAMED)
def test_what_a_page_names_is_there(named):
    path, _, test = named.partition("::")
    assert (ROOT / path).is_file()
    if test:
        assert f"\ndef {test}(" in (ROOT / path).read_text()
