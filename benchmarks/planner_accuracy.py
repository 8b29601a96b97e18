"""How far `nimctl plan` is from measured rows: mean error, bias and worst case of TPOT and TTFT.

    .venv/bin/python benchmarks/planner_accuracy.py --rows FILE [--holdout row|group] [--all]

FILE is a CSV with the columns system, model, backend, backend_version, precision, isl, osl, concurrency,
tp, pp, dp, ep, measured, ttft_ms, tpot_ms. By default the shipped factors predict; on rows that they were
fitted on that is no test of them. With --holdout every row is predicted by factors that were fitted without
it: `row` leaves out a fifth of the rows at a time, `group` a whole combination of GPU, architecture and
engine. Both take minutes and need numpy.

Rows that do not count are left out by rules that look at measurements and hardware limits alone (see
nimctl/plan/measured.py), and their number is printed; --all counts them. Each row's own error counts alike.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nimctl.errors import NimctlError
from nimctl.plan import case as cases
from nimctl.plan import measured, speed
from nimctl.plan.calibration import shipped
from nimctl.plan.catalogue import Catalogue


@dataclass(frozen=True)
class Error:
    """Predicted over measured, minus 1, of one row."""

    row: measured.Row
    tpot: float
    ttft: float


def known(rows: Sequence[measured.Row], catalogue: Catalogue) -> tuple[list[measured.Row], list[str]]:
    """The rows whose model and GPU the tables know, and what is unknown of the others."""
    keep, unknown = [], []
    for row in rows:
        try:
            cases.of_row(row, catalogue)
        except NimctlError:
            unknown.append(f"{row.model} on {row.system}")
        else:
            keep.append(row)
    return keep, unknown


def errors(rows: Sequence[measured.Row], keep: Sequence[int], found: Sequence[cases.Case]) -> list[Error]:
    """The errors of the shipped factors."""
    calibration = shipped()
    result = []
    for index in keep:
        row, one = rows[index], found[index]
        token, first = speed.together(one.facts, calibration.factors(one.levels))
        result.append(Error(row, token * 1e3 / row.tpot_ms - 1, first * 1e3 / row.ttft_ms - 1))
    return result


def held_out(path: Path, kind: str, everything: bool) -> tuple[list[Error], Counter[str]]:
    """The errors of factors that never saw the row; needs numpy."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "scripts"))
    import fit_planner

    data = fit_planner.read(path, keep_all=everything)
    tpot, ttft = fit_planner.held_out(data, kind, 5)
    relative = zip(data.rows, tpot / data.tpot - 1, ttft / data.ttft - 1, strict=True)
    return [Error(row, float(token), float(first)) for row, token, first in relative], data.excluded


def mape(values: Sequence[float]) -> float:
    """Mean absolute percentage error."""
    return sum(map(abs, values)) / len(values) * 100


def line(name: str, found: Sequence[Error]) -> str:
    """One line of the table."""
    text = f"{name:64} {len(found):5}"
    for values in ([one.tpot for one in found], [one.ttft for one in found]):
        bias = sum(values) / len(values) * 100
        worst = max(values, key=abs) * 100
        text += f"  {mape(values):7.1f} {bias:+8.1f} {worst:+9.1f}"
    return text


def main() -> None:
    """Predict, print, and end with the overall line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=Path, required=True, metavar="FILE")
    parser.add_argument("--holdout", choices=["row", "group"])
    parser.add_argument("--all", action="store_true", help="count rows that the rules leave out")
    arguments = parser.parse_args()
    try:
        catalogue = Catalogue()
        rows, unknown = known(measured.read(arguments.rows), catalogue)
        if arguments.holdout:
            found, excluded = held_out(arguments.rows, arguments.holdout, arguments.all)
        else:
            all_cases = [cases.of_row(row, catalogue) for row in rows]
            out = {} if arguments.all else cases.left_out(rows, all_cases, catalogue)
            found = errors(rows, [i for i in range(len(rows)) if i not in out], all_cases)
            excluded = Counter(out.values())
    except NimctlError as error:
        sys.exit(str(error))
    if not found:
        sys.exit(f"{arguments.rows}: no row is left")
    groups: dict[tuple[str, str, str], list[Error]] = defaultdict(list)
    for one in found:
        groups[one.row.group].append(one)
    print(f"{'':70}{'TPOT, %':^26}{'TTFT, %':^28}")
    print(f"{'system, model, backend':64} {'rows':>5}" + f"  {'MAPE':>7} {'bias':>8} {'worst':>9}" * 2)
    for group, members in sorted(groups.items()):
        print(line(", ".join(group), members))
    calibration = shipped()
    how = f"held out by {arguments.holdout}" if arguments.holdout else f"factors of {calibration.date}"
    if unknown:
        names = ", ".join(sorted(set(unknown)))
        print(f"\n{len(unknown)} rows of models or GPUs that the tables do not know: {names}")
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(excluded.items())) or "none"
    print(f"\n{how}; rows left out: {reasons} ({sum(excluded.values())} of {len(rows)})")
    tpot, ttft = mape([one.tpot for one in found]), mape([one.ttft for one in found])
    print(f"overall TPOT MAPE {tpot:.1f} % TTFT MAPE {ttft:.1f} % rows {len(found)}")


if __name__ == "__main__":
    main()
