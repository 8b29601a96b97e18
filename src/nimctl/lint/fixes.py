"""Apply the mechanical remedies of findings, pass after pass, until none is left."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

from nimctl.lint.check import Text, check
from nimctl.lint.model import Edit, Finding

MAX_PASSES = 20


def fix(texts: Sequence[Text]) -> list[Text]:
    """The files with every remedy applied that does not get into another one's way."""
    current = list(texts)
    for _ in range(MAX_PASSES):
        findings = check(current)
        changed = [replace(each, text=_apply(each, findings)) for each in current]
        if changed == current:
            break
        current = changed
    return current


def _apply(each: Text, findings: Sequence[Finding]) -> str:
    """One pass: remedies in order, those that touch what an earlier one changes wait for the next."""
    taken: list[Edit] = []
    for finding in findings:
        if finding.file != each.file or finding.fix is None:
            continue
        if not any(_meet(edit, other) for edit in finding.fix.edits for other in taken):
            taken += finding.fix.edits
    pieces, at = [], 0
    for edit in sorted(taken, key=lambda edit: edit.start):
        pieces += [each.text[at : edit.start], edit.text]
        at = edit.end
    return "".join([*pieces, each.text[at:]])


def _meet(one: Edit, other: Edit) -> bool:
    """Whether two edits touch the same characters, or put something in at the same place."""
    if one.start == one.end or other.start == other.end:
        return one.start <= other.end and other.start <= one.end
    return one.start < other.end and other.start < one.end


def difference(before: Text, after: Text) -> str:
    """A unified diff, empty where nothing changes."""
    return "".join(
        difflib.unified_diff(_lines(before.text), _lines(after.text), f"a/{before.file}", f"b/{after.file}")
    )


def _lines(text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n\\ No newline at end of file\n"
    return lines
