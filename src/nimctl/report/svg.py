"""Elements of SVG as text, escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

Attribute = str | float | int


def element(tag: str, content: str | Iterable[str] = "", /, **attributes: Attribute | None) -> str:
    """One element. ``content`` is SVG already; ``text`` makes some of text. ``class_`` is ``class``."""
    inner = content if isinstance(content, str) else "".join(content)
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    return f"<{tag}{written}>{inner}</{tag}>" if inner else f"<{tag}{written}/>"


def text(words: str, x: float, y: float, **attributes: Attribute | None) -> str:
    """Words with their baseline at a place."""
    return element("text", escape(words), x=x, y=y, **attributes)


def path(points: Iterable[tuple[float, float]], *, close: bool = False) -> str:
    """The ``d`` of a line through points."""
    steps = " ".join(
        f"{'L' if index else 'M'}{_number(x)} {_number(y)}" for index, (x, y) in enumerate(points)
    )
    return steps + (" Z" if close else "")


def _number(value: Attribute) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
