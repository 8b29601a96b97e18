"""Env files: one ``NAME=value`` on each line, as ``--env-file`` takes them."""

from __future__ import annotations

import re

from nimctl.lint.containers import Container, Variable
from nimctl.lint.model import Edit, Source

_LINE = re.compile(r"(\s*(?:export\s+)?)([A-Za-z_][A-Za-z0-9_]*)(=?)(.*)")


def read(source: Source) -> Container:
    """Read a file; nothing is known of the container that it is for."""
    found = Container("env", source, (1, 1), seen=False)
    for number, line in enumerate(source.text.splitlines(), 1):
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        start = source.start(number)
        # Engines take quotes as part of the value; `source` does not: rules compare what was meant.
        value = match[4].strip().strip("\"'")
        variable = Variable(
            match[2],
            value,
            "literal" if match[3] else "passed",
            (number, match.start(2) + 1),
            (source.remove_lines(number, number),),
        )
        at = start + match.start(2)
        variable.rename = lambda text, at=at, name=match[2]: (Edit(at, at + len(name), text),)
        value_at = start + match.start(4)
        end = start + len(line)
        variable.write = lambda text, value_at=value_at, end=end: (Edit(value_at, end, text),)
        found.variables.append(variable)
    return found
