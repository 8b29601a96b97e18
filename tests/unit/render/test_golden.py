"""Every worked inventory as every target renders it, exactly, and the same when it is rendered again."""

from __future__ import annotations

import pytest
import rendered


@pytest.mark.parametrize(("inventory", "target"), rendered.CASES)
def test_files_are_exactly_these(inventory: str, target: str) -> None:
    file = rendered.FOLDER / f"{inventory}.{target}.txt"
    assert rendered.text(inventory, target) == file.read_text(encoding="utf-8"), (
        "if this change is intended: .venv/bin/python tests/support/rendered.py, and read the difference"
    )
    assert rendered.text(inventory, target) == rendered.text(inventory, target)


def test_no_file_is_left_over() -> None:
    wanted = {f"{inventory}.{target}.txt" for inventory, target in rendered.CASES}
    assert {file.name for file in rendered.FOLDER.iterdir()} == wanted
