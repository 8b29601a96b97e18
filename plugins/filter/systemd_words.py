"""Filters that write text for systemd units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

DOCUMENTATION = r"""
name: systemd_words
short_description: Quote words for an ExecStart= line of a systemd unit
description:
  - Quotes what needs it, and protects C(%) and C($), which systemd would expand.
version_added: 0.1.0
options:
  _input:
    description: The words of a command line.
    type: list
    elements: str
    required: true
author: [The nimctl authors]
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "ExecStart=/bin/echo {{ ['a b', '100%'] | nimctl.multinode.systemd_words }}"   # "a b" 100%%
"""

RETURN = r"""
_value:
  description: The words in one line.
  type: str
"""

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-$")


def systemd_words(words: Iterable[Any]) -> str:
    """One line of an Exec setting; see systemd.syntax(7) and COMMAND LINES in systemd.service(5)."""
    return " ".join(_quoted(str(word)) for word in words)


def _quoted(word: str) -> str:
    if "\0" in word:
        raise ValueError("a command line cannot carry a null character")
    # A word that is ";" alone would separate commands; quotes do not protect it, a backslash does.
    if word == ";":
        return r"\;"
    text = word.replace("%", "%%").replace("$", "$$")
    if word and set(word) <= PLAIN:
        return text
    for character, escape in (("\\", r"\\"), ('"', r"\""), ("\n", r"\n"), ("\t", r"\t"), ("\r", r"\r")):
        text = text.replace(character, escape)
    return f'"{text}"'


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"systemd_words": systemd_words}
