"""A tiny decoder-only transformer of which a rank creates only its own layers and slices.

All arithmetic is exact. Weights and activations lie on fixed grids, so that every product and sum is
a float64 without rounding: the order of a reduction, the number of slices and the other sequences in a
batch cannot change a result, and the same request gives the same tokens under every split.

A *lane* is one attention head with its share of the MLP and of the vocabulary; tensor parallelism
divides the lanes. Attention sees the last ``window`` positions, with ALiBi instead of position embeddings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .settings import Settings
from .text import EOS, VOCABULARY, successors
from .wire import Array

_MLP_FACTOR = 4
_WEIGHT_GRID = 2.0**10
_ACTIVATION_GRID = 2.0**10
_PROBABILITY_GRID = 2.0**20
_UNLIKELY = -1.0e6
_END_SCORE = 2.0


@dataclass(frozen=True, slots=True)
class Rows:
    """The positions of one step that belong to one sequence: ``end - begin`` rows of the batch."""

    sequence: int
    begin: int
    end: int


def grid(values: Array) -> Array:
    """Round to the grid of activations."""
    return np.rint(values * _ACTIVATION_GRID) / _ACTIVATION_GRID


def normalise(x: Array) -> Array:
    """RMS norm without weights, on the grid."""
    return grid(x / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + 2.0**-10))


def receptive_field(settings: Settings) -> int:
    """How many of the last positions can influence the next token; older ones need not be computed."""
    return settings.layers * (settings.window - 1) + 1


class Shard:
    """One tensor slice of one pipeline stage: its weights, its keys and values, its partial results.

    ``lanes`` and ``layers`` are what it holds. ``first`` and ``last`` say whether its stage embeds tokens
    and whether it computes logits. What the slices of a stage return adds up to the full result.
    """

    def __init__(self, settings: Settings, layers: range, lanes: range, *, first: bool, last: bool) -> None:
        self.settings = settings
        self.layers = layers
        self.lanes = lanes
        self.width = settings.hidden // settings.heads
        self._caches: dict[tuple[int, int], tuple[Array, Array]] = {}
        self._weights = {layer: self._layer(layer) for layer in layers}
        self._columns = vocabulary_slice(lanes, settings.heads)
        self._embedding = self._vocabulary(0) if first else None
        self._head = self._vocabulary(1) if last else None
        # Slopes that are powers of two keep ALiBi exact.
        self._slopes = np.array([[[2.0 ** -(1 + lane % 4)]] for lane in lanes])
        self._bias = np.empty((0, 0, 0))

    @property
    def parameters(self) -> int:
        """How many weights the shard holds."""
        arrays = [array for weights in self._weights.values() for array in weights]
        arrays += [array for array in (self._embedding, self._head) if array is not None]
        return sum(array.size for array in arrays)

    def embed(self, tokens: Sequence[int]) -> Array:
        """Embeddings of the tokens in this slice of the vocabulary; zeros for the others."""
        assert self._embedding is not None
        x = np.zeros((len(tokens), self.settings.hidden))
        for row, token in enumerate(tokens):
            if token in self._columns:
                x[row] = self._embedding[token - self._columns.start]
        return x

    def attend(self, layer: int, x: Array, batch: Sequence[Rows]) -> Array:
        """This slice's part of the attention output for normalised ``x``; remembers keys and values."""
        projected = grid(x @ self._weights[layer][0])
        projected = projected.reshape(len(x), 3, len(self.lanes), self.width)
        queries, keys, values = (projected[:, part].transpose(1, 0, 2) for part in range(3))
        mixed = np.empty((len(x), len(self.lanes), self.width))
        for rows in batch:
            span = slice(rows.begin, rows.end)
            mixed[span] = self._mix(layer, rows.sequence, queries[:, span], keys[:, span], values[:, span])
        return mixed.reshape(len(x), -1) @ self._weights[layer][1]

    def feed_forward(self, layer: int, x: Array) -> Array:
        """This slice's part of the MLP output for normalised ``x``."""
        _, _, up, down = self._weights[layer]
        return grid(np.maximum(x @ up, 0.0)) @ down

    def logits(self, x: Array, context: Sequence[Sequence[int]]) -> Array:
        """Scores of this slice of the vocabulary, zeros for the rest, for normalised ``x``.

        ``context`` has the last two tokens of each row; only what may follow them is likely.
        """
        assert self._head is not None
        scores = np.zeros((len(x), vocabulary_size(self.settings.heads)))
        own = scores[:, self._columns.start : self._columns.stop]
        own += _UNLIKELY
        for row, (first, second) in enumerate(context):
            for token in successors(first, second):
                if token in self._columns:
                    column = token - self._columns.start
                    own[row, column] = x[row] @ self._head[column] + (_END_SCORE if token == EOS else 0.0)
        return scores

    def forget(self, sequence: int) -> None:
        """Drop the keys and values of a sequence."""
        for layer in self.layers:
            self._caches.pop((sequence, layer), None)

    def _mix(self, layer: int, sequence: int, queries: Array, keys: Array, values: Array) -> Array:
        window = self.settings.window
        cached = self._caches.get((sequence, layer))
        if cached is not None:
            keys = np.concatenate((cached[0], keys), axis=1)
            values = np.concatenate((cached[1], values), axis=1)
        # The next query sees itself and window - 1 positions before it.
        new, known = queries.shape[1], keys.shape[1]
        kept = max(known - window + 1, 0)
        self._caches[sequence, layer] = (keys[:, kept:], values[:, kept:])
        scores = queries @ keys.transpose(0, 2, 1) / math.sqrt(self.width)
        if self._bias.shape[1:] != (new, known):
            # Every layer of a step needs the same one.
            distance = np.arange(known - new, known)[:, None] - np.arange(known)[None, :]
            seen = (distance >= 0) & (distance < window)
            self._bias = np.where(seen, -self._slopes * distance, _UNLIKELY)
        scores += self._bias
        scores -= scores.max(axis=2, keepdims=True)
        weights = np.rint(np.exp(scores) * _PROBABILITY_GRID) / _PROBABILITY_GRID
        mixed: Array = weights @ values / weights.sum(axis=2, keepdims=True)
        return grid(mixed).transpose(1, 0, 2)

    def _layer(self, layer: int) -> tuple[Array, Array, Array, Array]:
        hidden, width, inner = self.settings.hidden, self.width, _MLP_FACTOR * self.width
        parts = [
            (
                self._random((hidden, 3, 1, width), hidden, layer, 0, lane),
                self._random((width, hidden), hidden, layer, 1, lane),
                self._random((hidden, inner), hidden, layer, 2, lane),
                self._random((inner, hidden), _MLP_FACTOR * hidden, layer, 3, lane),
            )
            for lane in self.lanes
        ]
        projection = np.concatenate([part[0] for part in parts], axis=2).reshape(hidden, -1)
        return (
            projection,
            np.concatenate([part[1] for part in parts], axis=0),
            np.concatenate([part[2] for part in parts], axis=1),
            np.concatenate([part[3] for part in parts], axis=0),
        )

    def _vocabulary(self, which: int) -> Array:
        rows = vocabulary_size(self.settings.heads) // self.settings.heads
        shape = (rows, self.settings.hidden)
        # Embeddings have unit variance, output weights that of any other matrix.
        fan_in = self.settings.hidden if which else 1
        return np.concatenate(
            [self._random(shape, fan_in, self.settings.layers, which, lane) for lane in self.lanes]
        )

    def _random(self, shape: tuple[int, ...], fan_in: int, *name: int) -> Array:
        """Weights that depend on the seed and on which matrix and lane they are for, and on nothing else."""
        bits = np.random.PCG64([self.settings.seed, *name]).random_raw(math.prod(shape))
        # The top bits as a number in [-1, 1), uniform, so the deviation is 1/sqrt(3) before scaling.
        uniform = (bits >> np.uint64(40)).astype(np.float64) / 2.0**23 - 1.0
        return np.rint(uniform * math.sqrt(3.0 / fan_in) * _WEIGHT_GRID).reshape(shape) / _WEIGHT_GRID


def vocabulary_size(heads: int) -> int:
    """The vocabulary rounded up so that the lanes can divide it."""
    return -(-len(VOCABULARY) // heads) * heads


def vocabulary_slice(lanes: range, heads: int) -> range:
    """The tokens whose embeddings and scores some lanes hold."""
    rows = vocabulary_size(heads) // heads
    return range(lanes.start * rows, lanes.stop * rows)
