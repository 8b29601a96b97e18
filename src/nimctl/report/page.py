"""One page from a template: style and drawings inside, nothing fetched, nothing run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nimctl import __version__
from nimctl.report import words
from nimctl.report.chart import HALF, Chart, Size, draw, swatch


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart with the numbers behind it, which is what people read who cannot see it.

    ``rows`` are cells of text below ``headings``; ``sizes`` are the drawings.
    """

    chart: Chart
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sizes: tuple[Size, ...] = HALF


def render(template: str, **context: Any) -> str:
    """A page as text; ``template`` is a file of this package."""
    numbers = count(1)

    def drawing(figure: Figure) -> Markup:
        name = f"chart{next(numbers)}"
        return Markup("".join(draw(figure.chart, size, f"{name}-{size.shown}") for size in figure.sizes))  # noqa: S704 - our own drawing, its texts escaped

    return (
        _environment()
        .get_template(template)
        .render(
            **context,
            drawing=drawing,
            version=__version__,
            made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("nimctl.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[[Any], str]] = {
        "ms": words.milliseconds,
        "number": words.number,
        "gb": words.gigabytes,
        "usd": words.dollars,
        "many": words.count,
        "whole": words.whole,
        "percent": words.percent,
        "sentence": words.sentence,
        "swatch": lambda series: Markup(swatch(series)),  # noqa: S704 - our own drawing
    }
    environment.filters |= filters
    environment.filters["as_form"] = lambda value, name: filters[name](value)
    return environment
