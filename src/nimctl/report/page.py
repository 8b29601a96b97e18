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
    return part(
        template, **context, version=__version__, made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    )


def part(template: str, *, id: str = "page", **context: Any) -> Markup:  # noqa: A002 - what HTML calls it
    """A part of a page; ``id`` is unique in the page."""
    numbers = count(1)

    def drawing(figure: Figure) -> Markup:
        name = f"{id}-chart{next(numbers)}"
        drawn = (draw(figure.chart, size, f"{name}-{size.shown}") for size in figure.sizes)
        return Markup("".join(drawn))  # noqa: S704 - our own drawing, its texts escaped

    text = _environment().get_template(template).render(**context, id=id, drawing=drawing)
    return Markup(text)  # noqa: S704 - what came in was escaped by the template


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
