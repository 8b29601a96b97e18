"""The tokenizer, and the few sentences that its vocabulary and the tone of the answers come from."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

SENTENCES = (
    "The leader waits until every rank has joined, and only then does it answer.",
    "Every rank holds its own layers and sends what it has computed to the next one.",
    "A rank that is lost leaves the others waiting, so the whole replica starts again.",
    "The first rank is the leader, and it is the only one that answers requests.",
    "Each node holds a part of the model, and no node holds all of it.",
    "Tensor slices of one layer are added up between the ranks that share it.",
    "The network between two nodes decides how fast a large model can answer.",
    "A model that does not fit on one machine is split over several machines.",
    "The pipeline passes activations from one rank to the next, layer after layer.",
    "When the last rank has computed the scores, the leader picks the next token.",
    "Nothing is ready before every rank is ready, and the leader says so.",
    "A slow link makes every token slow, because each token crosses every link.",
    "The operator describes the cluster in one file and the machines follow it.",
    "Two runs of the same description change nothing on a machine that already matches.",
    "This answer was computed by a small model that is really split over its ranks.",
    "This text means little, but every rank has worked on every word of it.",
    "It is a rehearsal, and the real model will have more to say than this one.",
    "In a rehearsal the words do not matter, only that all of them arrive in the right order.",
    "If one node stops, the group stops, and the operator sees which node it was.",
    "The weights of each layer live on one node and never leave it.",
    "A request goes to the leader, and the leader shares the work with the group.",
    "One token follows another until the answer is long enough.",
    "With more nodes the model can be larger, and with more links it can be slower.",
    "The cluster has one leader for each replica, and each replica holds one complete model.",
    "Each token needs every layer, so each token needs every rank.",
    "After a failure the leader starts first, and then the workers join it again.",
    "All ranks agree on the size of the group before any of them loads a layer.",
    "Large models need many machines, and many machines need a good description.",
    "A good description says what the cluster is, and not how to make it so.",
    "The health of the leader alone says little about the health of the group.",
)

BOS, EOS, SYSTEM, USER, ASSISTANT = range(256, 261)
SPECIAL = {
    BOS: "<|begin|>",
    EOS: "<|end|>",
    SYSTEM: "<|system|>",
    USER: "<|user|>",
    ASSISTANT: "<|assistant|>",
}

_PIECE = re.compile(r" ?[A-Za-z]+|[^A-Za-z ]| ")


def _vocabulary() -> tuple[str, ...]:
    """Bytes first, then the special tokens, then each word of the sentences bare and after a space."""
    pieces = {piece.strip() for sentence in SENTENCES for piece in _PIECE.findall(sentence)}
    words = sorted(piece for piece in pieces if piece.isalpha())
    marks = sorted(piece for piece in pieces if not piece.isalpha())
    whole = [form for word in words for form in (word, f" {word}")]
    return tuple([f"<{byte:02x}>" for byte in range(256)] + list(SPECIAL.values()) + marks + whole)


VOCABULARY = _vocabulary()
_TOKENS = {piece: token for token, piece in enumerate(VOCABULARY) if token > max(SPECIAL)}


def encode(text: str) -> list[int]:
    """Tokens of a text: known words and marks as one token each, all else byte by byte; nothing is lost."""
    tokens: list[int] = []
    for piece in _PIECE.findall(text):
        token = _TOKENS.get(piece)
        tokens.extend(piece.encode() if token is None else (token,))
    return tokens


def decode(tokens: Iterable[int]) -> str:
    """The text of some tokens; special tokens have none."""
    data = bytearray()
    for token in tokens:
        if token < 256:
            data.append(token)
        elif token not in SPECIAL and token < len(VOCABULARY):
            data += VOCABULARY[token].encode()
    return data.decode(errors="replace")


def chat(messages: Sequence[tuple[str, str]]) -> list[int]:
    """Tokens of a conversation, (role, content) each, that ask for the assistant's next turn."""
    roles = {"system": SYSTEM, "developer": SYSTEM, "assistant": ASSISTANT}
    tokens = [BOS]
    for role, content in messages:
        tokens.append(roles.get(role, USER))
        tokens.extend(encode(content))
    return [*tokens, ASSISTANT]


def _successors() -> tuple[Mapping[tuple[int, int], frozenset[int]], Mapping[int, frozenset[int]]]:
    """Which tokens may follow two tokens, and one; a sentence may follow any other."""
    after_two: dict[tuple[int, int], set[int]] = {}
    after_one: dict[int, set[int]] = {}
    opening = {encode(sentence)[0] for sentence in SENTENCES}
    within = {encode(f" {sentence}")[0] for sentence in SENTENCES}
    for sentence in SENTENCES:
        for tokens in (encode(sentence), encode(f" {sentence}")):
            after_one.setdefault(tokens[-1], set()).update(within | {EOS})
            for token, successor in itertools.pairwise(tokens):
                after_one.setdefault(token, set()).add(successor)
            for first, second, successor in zip(tokens, tokens[1:], tokens[2:], strict=False):
                after_two.setdefault((first, second), set()).add(successor)
    for token in range(len(VOCABULARY)):
        after_one.setdefault(token, opening if token in SPECIAL else within)
    return (
        {pair: frozenset(tokens) for pair, tokens in after_two.items()},
        {token: frozenset(tokens) for token, tokens in after_one.items()},
    )


_AFTER_TWO, _AFTER_ONE = _successors()


def successors(first: int, second: int) -> frozenset[int]:
    """The tokens that may come after two tokens: this is what makes the answers readable."""
    return _AFTER_TWO.get((first, second)) or _AFTER_ONE[second]
