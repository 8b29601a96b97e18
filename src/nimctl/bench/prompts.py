"""Prompts of a fixed length that no cache of the server has seen."""

from __future__ import annotations

import random

_TEXT = (
    "able also area away back ball bank base bird blue boat body book both call came card care case city "
    "come cool cost date dark deal deep door down draw drop each east easy edge even ever face fact fair "
    "fall farm fast feel feet file fill film find fine fire fish five flat food foot form four free from "
    "full game gave girl give glad goal gold gone good gray grew grow hair half hall hand hard have head "
    "hear heat help here high hill hold home hope hour huge idea iron item join jump just keep kind knew "
    "know lake land last late lead left less life lift like line list live long look lord lose lost love "
    "made main make many mark mean meet mile milk mind mine moon more most move much must name near need "
    "next nine none note once only open over page pair park part pass past path plan play pool poor post "
    "pull pure push rain read real rest rich ride ring rise road rock role roll room rose rule safe said "
    "sail sale salt same sand save seat seed seem sell send ship shop show side sign site size skin slow "
    "snow soft soil some song soon sort star stay step stop such sure take talk tall team tell test text "
    "than that them then they thin this time told took town tree trip true turn type unit upon used vast "
    "very view wait walk wall want warm wash wave week well went were west what when wide wild will wind "
    "wine wing wish with wood word work year your zero zone"
)
WORDS = tuple(_TEXT.split())
"""Short common words: of one length, and one token each in the usual vocabularies, so that the length of a
prompt follows from the number of words."""


_FRESH = 32
"""Words at the beginning of each prompt that are drawn for it alone."""


class Prompts:
    """Makes prompts of so many words, each different from its beginning on.

    A prompt that begins like an earlier one, even of another run, is answered in part from the prefix cache
    of most engines and measures nothing. So the beginning is drawn anew each time, and the seed is the
    system's; the rest is cut from one long text, because drawing it would hold up the clock.
    """

    def __init__(self, longest: int) -> None:
        self._random = random.Random()  # noqa: S311 - no secret is made of it
        self._text = self.cycles(longest // len(WORDS) + 2)

    def make(self, words: int) -> str:
        """One prompt; ``words`` is at most the longest that was announced."""
        fresh = min(words, _FRESH)
        beginning = " ".join(self._random.choices(WORDS, k=fresh))
        if words == fresh:
            return beginning
        size = len(WORDS[0]) + 1
        start = self._random.randrange(len(WORDS)) * size
        return f"{beginning} {self._text[start : start + (words - fresh) * size - 1]}"

    def cycles(self, times: int) -> str:
        """A text that has each word so many times, so that its length in tokens is that of the average."""
        return " ".join(word for _ in range(times) for word in self._random.sample(WORDS, len(WORDS)))
