"""Simple commands of a shell script, with the place of every word.

Not a shell: what a script would do is not worked out. It knows quotes, continued lines, comments,
substitutions and here-documents well enough to find commands and what they are given. Bodies of
here-documents are read as commands, too: job scripts keep what their tasks run there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nimctl.lint.model import Place, Source

_OPERATORS = frozenset(";&|(){}\n")
_KEYWORDS = frozenset({"if", "then", "else", "elif", "do", "while", "until", "!", "{", "time"})


@dataclass(frozen=True, slots=True)
class Word:
    """A word: its value without quotes and its place; ``expands`` where the shell puts something in."""

    text: str
    start: int
    end: int
    place: Place
    expands: bool


@dataclass(slots=True)
class Command:
    """The words of one simple command, keywords before it and assignments included."""

    words: list[Word] = field(default_factory=list)


def commands(source: Source) -> list[Command]:
    """The commands of a script, in order."""
    return _Reader(source).read()


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source, self.text, self.at = source, source.text, 0
        self.found: list[Command] = []
        self.command = Command()
        self.pending: list[str] = []

    def read(self) -> list[Command]:
        while self.at < len(self.text):
            character = self.text[self.at]
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            elif character in " \t\r":
                self.at += 1
            elif character == "#":
                self.at = self._line_end(self.at)
            elif character == "\n":
                self._end()
                self.at += 1
                self._skip_terminators()
            elif character in "<>":
                self._redirect()
            elif character in _OPERATORS and not self._is_brace_word():
                self._end()
                self.at += 1
            else:
                self._word()
        self._end()
        return self.found

    def _is_brace_word(self) -> bool:
        return self.text[self.at] in "{}" and self.text[self.at + 1 : self.at + 2] not in (
            "",
            " ",
            "\n",
            ";",
            "\t",
        )

    def _end(self) -> None:
        words = self.command.words
        while words and words[0].text in _KEYWORDS:
            words.pop(0)
        if words:
            self.found.append(self.command)
        self.command = Command()

    def _line_end(self, at: int) -> int:
        end = self.text.find("\n", at)
        return len(self.text) if end < 0 else end

    def _redirect(self) -> None:
        here = re.compile(r"<<-?\s*(['\"]?)([A-Za-z_][A-Za-z0-9_]*)\1").match(self.text, self.at)
        if here and not self.text.startswith("<<<", self.at):
            self.pending.append(here[2])
            self.at = here.end()
            return
        target = re.compile(r"[<>&|]+\s*(?!\()").match(self.text, self.at)
        self.at = target.end() if target else self.at + 1
        if target and self.at < len(self.text) and self.text[self.at] not in _OPERATORS:
            self._scan()

    def _skip_terminators(self) -> None:
        """The body of a here-document is read as commands; only the line that ends it is none."""
        while self.pending:
            pattern = re.compile(rf"^\s*{re.escape(self.pending[0])}$", re.MULTILINE)
            end = pattern.search(self.text, self.at)
            if end is None:
                self.pending.clear()
                return
            body = Source(self.source.file, self.text[: end.start()])
            inner = _Reader(body)
            inner.at = self.at
            self.found += inner.read()
            self.at = end.end()
            self.pending.pop(0)

    def _word(self) -> None:
        start = self.at
        value, expands = self._scan()
        # A number before a redirection belongs to that.
        if value.isdigit() and self.text[self.at : self.at + 1] in ("<", ">"):
            return
        self.command.words.append(Word(value, start, self.at, self.source.place(start), expands))

    def _scan(self) -> tuple[str, bool]:
        """Read up to the end of a word."""
        value: list[str] = []
        expands = False
        while self.at < len(self.text):
            character = self.text[self.at]
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            elif character == "\\":
                value.append(self.text[self.at + 1 : self.at + 2])
                self.at += 2
            elif character == "'":
                end = self.text.find("'", self.at + 1)
                end = len(self.text) if end < 0 else end
                value.append(self.text[self.at + 1 : end])
                self.at = end + 1
            elif character == '"':
                expands = self._quoted(value) or expands
            elif character in "$`":
                expands = True
                value.append(self._substitution())
            elif character in " \t\r\n;&|()<>":
                break
            else:
                value.append(character)
                self.at += 1
        return "".join(value), expands

    def _quoted(self, value: list[str]) -> bool:
        expands = False
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != '"':
            if self.text[self.at] == "\\" and self.text[self.at + 1 : self.at + 2] in (
                '"',
                "\\",
                "$",
                "`",
                "\n",
            ):
                value.append(self.text[self.at + 1].replace("\n", ""))
                self.at += 2
            elif self.text[self.at] in "$`":
                expands = True
                value.append(self._substitution())
            else:
                value.append(self.text[self.at])
                self.at += 1
        self.at += 1
        return expands

    def _substitution(self) -> str:
        """``$X``, ``${X}``, ``$(command)`` or a command in backquotes, as it is written."""
        start = self.at
        opened = self.text[self.at : self.at + 2]
        if self.text[self.at] == "`":
            end = self.text.find("`", self.at + 1)
            self.at = len(self.text) if end < 0 else end + 1
        elif opened in ("$(", "${"):
            self.at += 2
            depth, closing = 1, {"(": ")", "{": "}"}[opened[1]]
            while self.at < len(self.text) and depth:
                depth += (self.text[self.at] == opened[1]) - (self.text[self.at] == closing)
                self.at += 1
        else:
            self.at += 1
            name = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|.").match(self.text, self.at)
            self.at = name.end() if name else self.at
        return self.text[start : self.at]
