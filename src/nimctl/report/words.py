"""Numbers as people read them; each with its unit."""

from __future__ import annotations

import math


def number(value: float) -> str:
    """Three digits that count, thousands with commas."""
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    digits = 1 if size >= 10 else 2 if size >= 1 else min(8, 2 - math.floor(math.log10(size)))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def whole(value: int) -> str:
    """A whole number to its last digit."""
    return f"{value:,}"


def milliseconds(value: float) -> str:
    """Milliseconds, or seconds from ten seconds on."""
    return f"{number(value / 1000)} s" if abs(value) >= 10_000 else f"{number(value)} ms"


def gigabytes(count: float) -> str:
    """Bytes as GB of a thousand millions, as sizes of models are told and `nimctl plan` does."""
    return f"{number(count / 1e9)} GB"


def dollars(value: float) -> str:
    """US dollars; cents only where they matter."""
    sign = "-" if value < 0 else ""
    size = abs(value)
    if size >= 1_000_000:
        return f"{sign}${number(size / 1e6)}M"
    if size >= 1000:
        return f"{sign}${size:,.0f}"
    return f"{sign}${size:.2f}"


def count(value: float) -> str:
    """A large count: 12.3 M, 4.5 B, 1.2 T."""
    for unit, name in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= unit:
            return f"{number(value / (1e3 if name == 'k' else unit))} {name}"
    return number(value)


def percent(share: float) -> str:
    """A share of 1 as percent."""
    return f"{number(share * 100)} %"


def sentence(text: str) -> str:
    """A remark as a sentence: a capital where it begins, unless with a name, and a full stop at its end."""
    text = text.strip()
    if not text:
        return ""
    if text.split()[0].strip(",:;").isalpha():
        text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?" else f"{text}."
