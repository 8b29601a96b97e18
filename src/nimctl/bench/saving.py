"""Measured levels as files: for ``nimctl plan --calibrate``, for spreadsheets, for later."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nimctl.bench.result import Level, Setup
from nimctl.errors import NimctlError

COLUMNS = (
    "system",
    "model",
    "backend",
    "backend_version",
    "precision",
    "isl",
    "osl",
    "concurrency",
    "tp",
    "pp",
    "dp",
    "ep",
    "measured",
    "ttft_ms",
    "tpot_ms",
)
"""One measured row, as public collections of serving benchmarks have it and ``nimctl plan`` reads it."""


def rows(
    setup: Setup, served: str, levels: Sequence[Level], isl: int, osl: int, date: str
) -> tuple[dict[str, Any], ...]:
    """One row for each whole level: medians, and the lengths that the endpoint counted.

    ``served`` is the model's name at the endpoint, for setups that know none.
    """
    known = {**asdict(setup), "model": setup.model or served}
    return tuple(
        {
            **{column: known.get(column) for column in COLUMNS},
            "isl": round(level.isl) if level.isl is not None else isl,
            "osl": round(level.osl) if level.osl is not None else osl,
            "concurrency": level.concurrency,
            "measured": date,
            "ttft_ms": level.ttft_ms.p50,
            "tpot_ms": level.tpot_ms.p50,
        }
        for level in levels
        if level.complete and level.ttft_ms is not None and level.tpot_ms is not None
    )


def save(file: Path, result: dict[str, Any]) -> None:
    """Write a result: rows alone where the name ends in ``.csv``, else everything as JSON.

    Raises:
        NimctlError: the file cannot be written.
    """
    if file.suffix.lower() == ".csv":
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(result["rows"])
        text = buffer.getvalue()
    else:
        text = json.dumps(result, indent=2) + "\n"
    write(file, text)


def write(file: Path, text: str) -> None:
    """Write a file that the user named.

    Raises:
        NimctlError: it cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NimctlError(f"{file} cannot be written: {error.strerror}") from None
