"""Line charts as inline SVG: colours by CSS class, so that one drawing serves light and dark pages.

Nothing is told by colour alone: each series has its own dashes and marks, which the legend repeats. A chart
is drawn once for wide and once for narrow screens: text in a drawing that is scaled down cannot be read.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from nimctl.report.scale import Scale, linear_ticks, log_ticks, thinned, wide
from nimctl.report.svg import element, path, text

Mark = Literal["circle", "square", "diamond", "none"]
LINE = 15
"""Pixels from one line of text to the next."""
CHARACTER = 7.2
"""Pixels of a character at most, on average: widths of text are not known while drawing."""


@dataclass(frozen=True, slots=True)
class Series:
    """One line. ``tone`` (1 to 4) picks colour and dashes; ``band`` has low and high for each x."""

    name: str
    points: Sequence[tuple[float, float]]
    tone: int
    mark: Mark = "circle"
    band: Sequence[tuple[float, float, float]] = ()
    step: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A straight line across the plot at one value, with a label."""

    axis: Literal["x", "y"]
    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Axis:
    """``form`` writes a value at a mark; ``at`` says where marks stand (default: round numbers)."""

    label: str
    form: Callable[[float], str]
    at: Sequence[float] = ()
    log: bool | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart; ``summary`` says in words what it shows, for those who cannot see it.

    ``beyond`` is where the plot is shaded to its right end, and why.
    """

    title: str
    summary: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    rules: Sequence[Rule] = ()
    beyond: tuple[float, str] | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """The drawing's own size in pixels, and when it is shown."""

    width: int
    height: int
    shown: Literal["wide", "narrow"]


HALF = (Size(508, 300, "wide"), Size(324, 260, "narrow"))
"""Two charts side by side on a wide screen."""
FULL = (Size(1054, 360, "wide"), Size(324, 300, "narrow"))
"""One chart over the whole width."""


@dataclass(slots=True)
class _Plot:
    """The area between the axes."""

    size: Size
    left: float
    right: float
    top: float
    bottom: float
    x: Scale = field(init=False)
    y: Scale = field(init=False)


def draw(chart: Chart, size: Size, name: str) -> str:
    """The chart as SVG; ``name`` is unique in the page and makes its ids."""
    xs = [x for series in chart.series for x, _ in series.points]
    ys = [value for series in chart.series for value in _heights(series)]
    ys += [rule.value for rule in chart.rules if rule.axis == "y"]
    across = [rule for rule in chart.rules if rule.axis == "x" and min(xs) <= rule.value <= max(xs)]
    rows = len(across) + (1 if chart.beyond else 0)
    plot = _Plot(size, 0, size.width - 10, 8.0 + LINE * rows, size.height - 40)
    y_ticks, y_log = _y_ticks(chart.y, ys, 5)
    plot.left = 10 + CHARACTER * max(len(chart.y.form(tick)) for tick in y_ticks)
    plot.y = Scale(y_ticks[0], y_ticks[-1], plot.bottom, plot.top, y_log)
    x_log = wide(xs) if chart.x.log is None else chart.x.log
    plot.x = Scale(min(xs) if x_log else 0.0, max(xs), plot.left + 6, plot.right - 8, x_log)
    parts = [
        element("title", _escaped(chart.title), id=f"{name}-title"),
        element("desc", _escaped(chart.summary), id=f"{name}-desc"),
        *_beyond(chart, plot),
        *_y_axis(chart, plot, y_ticks),
        *_x_axis(chart, plot, xs, x_log),
        *itertools.chain.from_iterable(_band(series, plot) for series in chart.series),
        *_rules(chart, across, plot),
        *itertools.chain.from_iterable(_line(series, chart, plot) for series in chart.series),
    ]
    return element(
        "svg",
        parts,
        viewBox=f"0 0 {size.width} {size.height}",
        class_=f"chart {size.shown}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        style=f"max-width:{round(size.width * 1.35)}px",
    )


def swatch(series: Series) -> str:
    """The series' line and mark, for a legend."""
    return element(
        "svg",
        [
            element("line", x1=1, y1=7, x2=29, y2=7, class_=f"line tone{series.tone}"),
            _mark(series.mark, 15, 7, series.tone),
        ],
        viewBox="0 0 30 14",
        width=30,
        height=14,
        aria_hidden="true",
        class_="swatch",
    )


def _heights(series: Series) -> list[float]:
    banded = [value for _, low, high in series.band for value in (low, high)]
    return [y for _, y in series.points] + banded


def _y_ticks(axis: Axis, values: Sequence[float], most: int) -> tuple[list[float], bool]:
    log = wide(values) if axis.log is None else axis.log
    positive = [value for value in values if value > 0]
    if log and positive:
        return log_ticks(min(positive), max(positive), most + 1), True
    return linear_ticks(max(values, default=1.0), most), False


def _y_axis(chart: Chart, plot: _Plot, ticks: Sequence[float]) -> list[str]:
    out = []
    for tick in ticks:
        y = plot.y.at(tick)
        out.append(element("line", x1=plot.left, y1=y, x2=plot.right, y2=y, class_="grid"))
        out.append(text(chart.y.form(tick), plot.left - 6, y + 4, text_anchor="end", class_="tick"))
    return out


def _x_axis(chart: Chart, plot: _Plot, xs: Sequence[float], log: bool) -> list[str]:
    room = plot.right - plot.left
    if chart.x.at:
        ticks = list(chart.x.at)
    elif log:
        low, high = min(xs), max(xs)
        ticks = [tick for tick in log_ticks(low, high, 12) if low * 0.999 <= tick <= high * 1.001]
    else:
        ticks = [tick for tick in linear_ticks(max(xs), 6) if tick <= max(xs) * 1.001]
    widest = max((len(chart.x.form(tick)) for tick in ticks), default=1)
    ticks = thinned(ticks, max(2, int(room / (CHARACTER * (widest + 2)))))
    out = [element("line", x1=plot.left, y1=plot.bottom, x2=plot.right, y2=plot.bottom, class_="axis")]
    end = 0.0
    for tick in ticks:
        x = plot.x.at(tick)
        half = CHARACTER * len(chart.x.form(tick)) / 2
        if x - half < end:
            continue
        out.append(element("line", x1=x, y1=plot.bottom, x2=x, y2=plot.bottom + 4, class_="axis"))
        anchor, place = ("end", plot.size.width - 1.0) if x + half > plot.size.width else ("middle", x)
        out.append(text(chart.x.form(tick), place, plot.bottom + 17, text_anchor=anchor, class_="tick"))
        end = x + half + 4
    middle = round((plot.left + plot.right) / 2, 1)
    out.append(text(chart.x.label, middle, plot.bottom + 34, text_anchor="middle", class_="label"))
    return out


def _beyond(chart: Chart, plot: _Plot) -> list[str]:
    if chart.beyond is None:
        return []
    x = plot.x.at(chart.beyond[0])
    height = plot.bottom - plot.top
    return [
        element("rect", x=x, y=plot.top, width=round(plot.right - x, 1), height=height, class_="beyond"),
        text(chart.beyond[1], plot.right, plot.top - 5, text_anchor="end", class_="note"),
    ]


def _band(series: Series, plot: _Plot) -> list[str]:
    if not series.band:
        return []
    there = [(plot.x.at(x), plot.y.at(high)) for x, _, high in series.band]
    back = [(plot.x.at(x), plot.y.at(low)) for x, low, _ in reversed(series.band)]
    return [element("path", d=path([*there, *back], close=True), class_=f"band tone{series.tone}")]


def _rules(chart: Chart, across: Sequence[Rule], plot: _Plot) -> list[str]:
    out = []
    first = plot.top - 5 - (LINE if chart.beyond else 0)
    for row, rule in enumerate(sorted(across, key=lambda item: item.value)):
        x = plot.x.at(rule.value)
        y = first - row * LINE
        out.append(element("line", x1=x, y1=y + 3, x2=x, y2=plot.bottom, class_="rule"))
        width = CHARACTER * len(rule.label)
        anchor = "start" if x + 5 + width < plot.size.width else "end"
        out.append(
            text(rule.label, x + (5 if anchor == "start" else -5), y, text_anchor=anchor, class_="note")
        )
    for rule in chart.rules:
        if rule.axis == "y":
            y = plot.y.at(rule.value)
            out.append(element("line", x1=plot.left, y1=y, x2=plot.right, y2=y, class_="rule"))
            below = y - LINE < plot.top
            place = y + LINE - 2 if below else y - 5
            out.append(text(rule.label, plot.left + 6, place, class_="note"))
    return out


def _line(series: Series, chart: Chart, plot: _Plot) -> list[str]:
    places = [(plot.x.at(x), plot.y.at(y)) for x, y in series.points]
    corners = _stairs(places) if series.step else places
    out = [element("path", d=path(corners), class_=f"line tone{series.tone}")]
    if series.mark == "none":
        return out
    for (x, y), (given_x, given_y) in zip(places, series.points, strict=True):
        tip = f"{series.name}: {chart.y.form(given_y)} at {chart.x.form(given_x)}"
        out.append(element("g", [element("title", _escaped(tip)), _mark(series.mark, x, y, series.tone)]))
    return out


def _stairs(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same points as a staircase: each height holds from the point before up to its own place."""
    out = [places[0]]
    for (_, before), (x, y) in itertools.pairwise(places):
        if y != before:
            out.append((out[-1][0], y))
        out.append((x, y))
    return out


def _mark(kind: Mark, x: float, y: float, tone: int) -> str:
    name = f"mark tone{tone}"
    if kind == "circle":
        return element("circle", cx=x, cy=y, r=3.5, class_=name)
    if kind == "square":
        return element("rect", x=x - 3.2, y=y - 3.2, width=6.4, height=6.4, class_=name)
    if kind == "diamond":
        corners = [(x, y - 4.6), (x + 4.6, y), (x, y + 4.6), (x - 4.6, y)]
        return element("path", d=path(corners, close=True), class_=name)
    return ""


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
