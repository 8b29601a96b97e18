"""The models that are known by name, whichever way a person or a registry writes it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path

from nimctl.errors import RejectedError
from nimctl.plan import tables
from nimctl.plan.config_json import understand
from nimctl.plan.formats import BYTES, weight_format
from nimctl.plan.model import Format, Model

_PRECISIONS = {
    "fp8": "fp8",
    "nvfp4": "nvfp4",
    "fp4": "nvfp4",
    "bf16": "bf16",
    "int4": "int4",
    "mxfp4": "mxfp4",
}
_DECORATION = re.compile(r"-(instruct|chat|hf|it|base|v0-1|turbo)$")


class Catalogue:
    """All rows by name; models are built when they are asked for."""

    def __init__(self, folder: Path | None = None) -> None:
        self._rows = tables.rows("models", folder)
        self._names: dict[str, tuple[str, str]] = {}
        self._models: dict[str, Model] = {}
        for row in self._rows.values():
            published = [(item.text("published", ""), item.text("name")) for item in row.rows("formats")]
            for name in (row.name, *row.texts("aliases")):
                self._names.setdefault(_key(name), (row.name, ""))
            for name, precision in published:
                if "/" in name:
                    self._names.setdefault(_key(name), (row.name, precision))
        for key, found in list(self._names.items()):
            for short in _shorter(key):
                self._names.setdefault(short, found)

    def __contains__(self, name: str) -> bool:
        return self._lookup(name) is not None

    @property
    def names(self) -> tuple[str, ...]:
        """The rows' own names."""
        return tuple(self._rows)

    def find(self, name: str) -> tuple[Model, str]:
        """The model of a name, and the precision that it implies (empty: none). Raises RejectedError."""
        found = self._lookup(name)
        if found is None:
            near = get_close_matches(_key(name), self._names, 3, 0.6)
            close = list(dict.fromkeys(self._names[key][0] for key in near))
            hint = f"; did you mean {' or '.join(close)}?" if close else "."
            raise RejectedError(
                f"{name}: no model of the catalogue{hint} Any other model is read with --config FILE, from "
                "its config.json or its checkpoint folder"
            )
        row, precision = found
        if row not in self._models:
            self._models[row] = self._build(row)
        return self._models[row], precision

    def _lookup(self, name: str) -> tuple[str, str] | None:
        key = _key(name)
        precision = ""
        last = key.rpartition("-")
        if last[2] in _PRECISIONS and key not in self._names:
            key, precision = last[0], _PRECISIONS[last[2]]
        for candidate in (key, *_shorter(key)):
            if candidate in self._names:
                found = self._names[candidate]
                return found[0], precision or found[1]
        return None

    def _build(self, name: str) -> Model:
        row = self._rows[name]
        config = row.mapping("config")
        like = row.text("like", "")
        if like:
            if like not in self._rows or like == name:
                raise row.wrong("like", like, "the name of another row")
            config = {**self._rows[like].mapping("config"), **config}
        formats = tuple(_format(item) for item in row.rows("formats"))
        return understand(
            _unfold(config),
            name,
            f"{row.file}: {name}.config",
            formats or None,
            source=row.text("source"),
            aliases=row.texts("aliases"),
            distilled=row.texts("distilled"),
        )


def _unfold(config: Mapping[str, object]) -> dict[str, object]:
    """A config whose short ``layer_types`` is a pattern that repeats."""
    kinds, layers = config.get("layer_types"), config.get("num_hidden_layers")
    if isinstance(kinds, list) and isinstance(layers, int) and kinds:
        return {**config, "layer_types": [kinds[index % len(kinds)] for index in range(layers)]}
    return dict(config)


def _format(row: tables.Row) -> Format:
    parts = {part: row.text(part, "") or None for part in ("attention", "dense", "experts")}
    for key, value in [("name", row.text("name")), *parts.items()]:
        if value is not None and value not in BYTES:
            raise row.wrong(key, value, f"one of {', '.join(BYTES)}")
    return weight_format(
        row.text("name"), **parts, block=int(row.number("block", 0)), published=row.text("published", "")
    )


def _key(name: str) -> str:
    return re.sub(r"[._ ]", "-", name.strip().lower())


def _shorter(key: str) -> Iterable[str]:
    """A name with less and less around it: no organisation, no ``-instruct``, no ``meta-``."""
    bare = key.rpartition("/")[2]
    found = [bare]
    while _DECORATION.search(found[-1]):
        found.append(_DECORATION.sub("", found[-1]))
    found += [name.removeprefix("meta-") for name in found if name.startswith("meta-")]
    return found
