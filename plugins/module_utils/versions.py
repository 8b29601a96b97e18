"""Comparing versions as distributions write them."""

from __future__ import annotations

import re


def numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of ``5:27.3.1-1~debian`` or ``20.10.24+dfsg1`` alone."""
    upstream = version.split(":", 1)[-1]
    match = re.match(r"\d+(?:\.\d+)*", upstream)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def older(version: str, minimum: str) -> bool:
    """Whether a version comes before another; missing parts count as zero."""
    left, right = numbers(version), numbers(minimum)
    width = max(len(left), len(right))
    return left + (0,) * (width - len(left)) < right + (0,) * (width - len(right))


def refusal(engine: str, version: str, minimum: str, reason: str, installed: bool) -> str:
    """Why an engine's version does not serve, and what to do."""
    where = "is installed" if installed else "is what the distribution offers"
    because = f" for {reason}" if reason else ""
    if engine == "docker":
        remedy = (
            "Set stack.container_engine.source to docker for the packages of docker's own repository, "
            "or stack.container_engine.engine to podman."
        )
        if installed:
            remedy += " The version that is installed has to go first; remove it when nothing runs in it."
    else:
        remedy = (
            "Use a newer release of the distribution, or set stack.container_engine.engine to "
            "docker with source docker."
        )
    return (
        f"{engine} {version} {where}, and at least {minimum} is needed{because}. Nothing was "
        f"changed. {remedy}"
    )
