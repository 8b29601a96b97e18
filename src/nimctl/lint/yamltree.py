"""YAML as nodes that know where they stand, and edits of block-style text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from nimctl.description.source import plain_value
from nimctl.lint.model import Edit, Place, Source

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_MERGE = "tag:yaml.org,2002:merge"


class YamlError(Exception):
    """A text is not YAML; says where and why."""

    def __init__(self, place: Place, message: str) -> None:
        self.place, self.message = place, message
        super().__init__(message)


class Tree:
    """A mapping, a list or a scalar. What is missing is None, so that rules can ask along a path."""

    def __init__(self, node: yaml.Node, source: Source, key: yaml.Node | None = None) -> None:
        self.node, self.source, self.key = node, source, key

    @property
    def place(self) -> Place:
        """Where it stands; an entry of a mapping at its key."""
        mark = (self.key or self.node).start_mark
        return mark.line + 1, mark.column + 1

    @property
    def value_place(self) -> Place:
        """Where the value itself stands."""
        return self.node.start_mark.line + 1, self.node.start_mark.column + 1

    def get(self, *path: str | int) -> Tree | None:
        """The node at a path of keys and indices."""
        found: Tree | None = self
        for part in path:
            if found is None:
                return None
            found = found._child(part)
        return found

    def _child(self, part: str | int) -> Tree | None:
        if isinstance(self.node, yaml.MappingNode):
            for key, value in _pairs(self.node):
                if key.value == part:
                    return Tree(value, self.source, key)
        if isinstance(self.node, yaml.SequenceNode) and isinstance(part, int) and part < len(self.node.value):
            return Tree(self.node.value[part], self.source)
        return None

    def text(self, *path: str | int) -> str | None:
        """The text of a scalar at a path, as it was written."""
        found = self.get(*path)
        return str(found.node.value) if found and isinstance(found.node, yaml.ScalarNode) else None

    def number(self, *path: str | int) -> int | None:
        """The whole number at a path, quoted or not."""
        text = self.text(*path)
        return int(text) if text is not None and text.lstrip("-").isdigit() else None

    def items(self, *path: str | int) -> Iterator[tuple[str, Tree]]:
        """The entries of a mapping at a path."""
        found = self.get(*path)
        if found and isinstance(found.node, yaml.MappingNode):
            for key, value in _pairs(found.node):
                yield str(key.value), Tree(value, self.source, key)

    def each(self, *path: str | int) -> Iterator[Tree]:
        """The entries of a list at a path."""
        found = self.get(*path)
        if found and isinstance(found.node, yaml.SequenceNode):
            for value in found.node.value:
                yield Tree(value, self.source)

    def mapping(self, *path: str | int) -> dict[str, str]:
        """A mapping of texts at a path, such as labels."""
        return {key: str(value.node.value) for key, value in self.items(*path)}

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.node, yaml.MappingNode):
            return {key: value.plain() for key, value in self.items()}
        if isinstance(self.node, yaml.SequenceNode):
            return [value.plain() for value in self.each()]
        # A quoted text is a text, whatever it looks like.
        style = getattr(self.node, "style", None)
        return plain_value(self.node.value) if style is None else self.node.value

    @property
    def is_block(self) -> bool:
        """Whether it is written over lines, so that lines can be put in and taken out."""
        return not getattr(self.node, "flow_style", False)

    @property
    def last_line(self) -> int:
        """The last line of what it holds, without comments and blank lines behind it."""
        if isinstance(self.node, yaml.ScalarNode):
            end = self.node.end_mark
            last = end.line + 1
            return last - 1 if self.node.style in ("|", ">") and end.column == 0 else last
        if not self.is_block:
            return int(self.node.end_mark.line) + 1
        own = self.node.value if isinstance(self.node, yaml.MappingNode) else []
        # An alias stands on the line of its key, whatever it means.
        children = [
            Tree(value, self.source) for key, value in own if value.start_mark.index > key.start_mark.index
        ]
        children += [each for each in self.each() if each.node.start_mark.index > self.node.start_mark.index]
        lines = [child.last_line for child in children]
        lines += [key.end_mark.line + 1 for key, _ in own]
        return max(lines, default=self.value_place[0])

    @property
    def indent(self) -> int:
        """The column, from 0, in which the entries of a mapping or the dashes of a list begin."""
        return int(self.node.start_mark.column)

    def replace(self, text: str) -> Edit:
        """Write another scalar in the place of this one."""
        return Edit(self.node.start_mark.index, self.node.end_mark.index, text)

    def remove_entry(self) -> Edit | None:
        """Take out this entry of a block-style list or mapping, with its lines."""
        first = self.place[0]
        line = self.source.line(first)
        start = (self.key or self.node).start_mark.column
        lead = line[:start].strip()
        if lead not in ("", "-") or (self.key is not None and lead == "-"):
            return None
        return self.source.remove_lines(first, self.last_line)

    def append_item(self, lines: Sequence[str]) -> Edit | None:
        """Add an entry to a block-style list; ``lines`` are indented from the dash on."""
        if not self.is_block or not isinstance(self.node, yaml.SequenceNode) or not self.node.value:
            return None
        pad = " " * self.indent
        return self.source.insert_lines(self.last_line + 1, [pad + line for line in lines])

    def append_key(self, lines: Sequence[str]) -> Edit | None:
        """Add entries to a block-style mapping; ``lines`` are indented from its keys on."""
        if not self.is_block or not isinstance(self.node, yaml.MappingNode) or not self.node.value:
            return None
        pad = " " * self.indent
        return self.source.insert_lines(self.last_line + 1, [pad + line for line in lines])


def _pairs(node: yaml.MappingNode) -> list[tuple[yaml.Node, yaml.Node]]:
    """The entries of a mapping, those that `<<` brings in behind its own."""
    own = [(key, value) for key, value in node.value if key.tag != _MERGE]
    names = {key.value for key, _ in own}
    for key, value in node.value:
        if key.tag == _MERGE:
            parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for part in parts:
                if isinstance(part, yaml.MappingNode) and part is not node:
                    own += [pair for pair in _pairs(part) if pair[0].value not in names]
                    names |= {pair[0].value for pair in own}
    return own


def documents(source: Source) -> list[Tree]:
    """The documents of a file that hold something.

    Raises:
        YamlError: it is not YAML.
    """
    try:
        return [
            Tree(node, source) for node in yaml.compose_all(source.text, Loader=_Loader) if node is not None
        ]
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise YamlError(place, str(getattr(error, "problem", None) or "cannot be parsed")) from error
    except RecursionError as error:
        raise YamlError((1, 1), "is nested too deep") from error
