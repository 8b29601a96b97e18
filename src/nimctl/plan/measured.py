"""Measured rows: the CSV of a public benchmark, or of ``nimctl bench --save``; and which count.

The rules that leave rows out look at measurements and hardware limits alone, never at a prediction:

* *speculative*: the same case (system, architecture, engine, precision, split, lengths, concurrency) was
measured   at least 1.3 times slower in another series; and a series with three or more such rows that are
at least   half of those that can be compared goes as a whole. Speculative decoding is not marked in the data.
* *falls*: the time per token falls although concurrency at least doubles.
* *impossible*: more floating-point operations per second than the GPUs have.
"""

from __future__ import annotations

import csv
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nimctl.errors import RejectedError

COLUMNS = ("system", "model", "backend", "isl", "osl", "concurrency", "tp", "ttft_ms", "tpot_ms")
FASTER = 1.3
FEWEST = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One measured case; times in milliseconds."""

    system: str
    model: str
    backend: str
    version: str
    precision: str
    isl: int
    osl: int
    concurrency: int
    tensor: int
    pipeline: int
    expert: int
    measured: str
    ttft_ms: float
    tpot_ms: float

    @property
    def group(self) -> tuple[str, str, str]:
        """The combination that it belongs to."""
        return self.system, self.model, self.backend


def read(path: Path) -> list[Row]:
    """The rows of a CSV with COLUMNS, or of a JSON list of such objects. Raises RejectedError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise RejectedError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if text.lstrip()[:1] in ("{", "["):
        records = _records(path, text)
    else:
        reader = csv.DictReader(text.splitlines())
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise RejectedError(f"{path}: has no column {', '.join(missing)}; it needs {', '.join(COLUMNS)}")
        records = list(reader)
    rows = [_row(record, f"{path}: row {number}") for number, record in enumerate(records, 1)]
    if not rows:
        raise RejectedError(f"{path}: has no rows")
    return rows


def _records(path: Path, text: str) -> list[Any]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise RejectedError(f"{path}: is no JSON: {error}") from error
    found = data.get("calibration", data.get("rows")) if isinstance(data, dict) else data
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise RejectedError(f"{path}: expected a list of rows with {', '.join(COLUMNS)}")
    return found


def _row(record: Mapping[str, Any], where: str) -> Row:
    def number(name: str, default: float | None = None) -> float:
        value = record.get(name)
        if value in (None, "") and default is not None:
            return default
        try:
            found = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            found = -1.0
        if not 0 < found < 1e9:
            raise RejectedError(f"{where}: {name}: found {value!r}, expected a positive number")
        return found

    def text(name: str) -> str:
        return str(record.get(name) or "").strip()

    for name in ("system", "model", "backend"):
        if not text(name):
            raise RejectedError(f"{where}: has no {name}")
    return Row(
        text("system"), text("model"), text("backend").lower(), text("backend_version"), text("precision"),
        int(number("isl")), int(number("osl")), int(number("concurrency")), int(number("tp")),
        int(number("pp", 1)), int(number("ep", 1)), text("measured"), number("ttft_ms"), number("tpot_ms"),
    )  # fmt: skip


def excluded(
    rows: Sequence[Row], architectures: Mapping[str, str], utilization: Sequence[float]
) -> dict[int, str]:
    """Which rows do not count, and why.

    ``architectures`` maps models to what computes alike, ``utilization`` has the share of the GPUs' peak
    that each row claims to have used.
    """
    out = {index: "impossible" for index, used in enumerate(utilization) if used > 1}
    _speculative(rows, architectures, out)
    _falling(rows, architectures, out)
    return out


def _series(row: Row, architectures: Mapping[str, str]) -> tuple[str, ...]:
    kind = architectures.get(row.model, row.model)
    return row.system, kind, row.backend, row.precision, row.version, row.measured


def _speculative(rows: Sequence[Row], architectures: Mapping[str, str], out: dict[int, str]) -> None:
    cases: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        kind = architectures.get(row.model, row.model)
        key = (row.system, kind, row.backend, row.precision, row.tensor, row.pipeline, row.expert)
        cases[(*key, row.isl, row.osl, row.concurrency)].append(index)
    compared: Counter[tuple[str, ...]] = Counter()
    fast: Counter[tuple[str, ...]] = Counter()
    for indices in cases.values():
        if len({_series(rows[index], architectures) for index in indices}) < 2:
            continue
        slowest = max(rows[index].tpot_ms for index in indices)
        for index in indices:
            series = _series(rows[index], architectures)
            compared[series] += 1
            if rows[index].tpot_ms * FASTER < slowest:
                fast[series] += 1
                out.setdefault(index, "speculative")
    whole = {series for series, count in fast.items() if count >= FEWEST and count * 2 >= compared[series]}
    for index, row in enumerate(rows):
        if _series(row, architectures) in whole:
            out.setdefault(index, "speculative")


def _falling(rows: Sequence[Row], architectures: Mapping[str, str], out: dict[int, str]) -> None:
    cases: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        if index not in out:
            kind = architectures.get(row.model, row.model)
            key = (row.system, kind, row.backend, row.precision, row.tensor, row.expert, row.isl, row.osl)
            cases[key].append(index)
    for indices in cases.values():
        for index in indices:
            row = rows[index]
            slower: Iterable[Row] = (rows[other] for other in indices if other != index)
            if any(o.concurrency * 2 <= row.concurrency and o.tpot_ms > 1.1 * row.tpot_ms for o in slower):
                out[index] = "falls"
