"""Versions as numbers: ``3:580.178.04-1.el9`` and ``580.178.04-0ubuntu1`` are both 580.178.04."""

from __future__ import annotations

import re

_UPSTREAM = re.compile(r"(?:\d+:)?([^-]*)")


def upstream(version: str) -> str:
    """A package's version without epoch and revision, which is what Fabric Manager and driver share."""
    match = _UPSTREAM.match(version)
    return match.group(1) if match else version


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of the upstream version: ``5.14.0-570.el9`` gives (5, 14, 0)."""
    match = re.match(r"\d+(?:\.\d+)*", upstream(version))
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def older(version: str, minimum: str) -> bool:
    """Whether a version comes before another; missing parts count as zero."""
    left, right = numbers(version), numbers(minimum)
    width = max(len(left), len(right))
    return left + (0,) * (width - len(left)) < right + (0,) * (width - len(right))


def branch_of(version: str) -> int:
    """The branch of a driver's version: 580 of ``580.126.09``, 0 where it has no number."""
    return next(iter(numbers(version)), 0)
