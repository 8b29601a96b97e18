"""One rank's share of a step: its shards run layer by layer, reduce, and pass on what they have computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from .layout import Layout
from .model import Rows, Shard, grid, normalise, vocabulary_size
from .settings import Settings
from .wire import Array, Link


@dataclass(frozen=True, slots=True)
class Step:
    """One pass through the model: new ``tokens`` of some sequences.

    ``drop`` names sequences whose keys and values can go first. The rows in ``wanted`` get
    scores for their next token, in that order; ``context`` has the last two tokens of each of them.
    """

    number: int
    tokens: list[int]
    rows: list[Rows]
    wanted: list[int]
    context: list[list[int]]
    drop: list[int] = field(default_factory=list)

    def message(self) -> dict[str, object]:
        """The step as a control message."""
        return asdict(self)

    @classmethod
    def parse(cls, message: Mapping[str, list[int]]) -> Step:
        """Read a control message."""
        values: dict[str, object] = {**message, "rows": [Rows(**row) for row in message["rows"]]}  # type: ignore[arg-type]
        return cls(**values)  # type: ignore[arg-type]


class Stage:
    """The tensor slices of one pipeline stage that this rank holds.

    Shards take turns on the one thread: their results are added up in order of slice, then with those of
    the ranks that share the stage. The lowest of these adds up and sends the sum back.
    """

    def __init__(
        self, settings: Settings, layout: Layout, rank: int, stage: int, links: Mapping[int, Link]
    ) -> None:
        self.stage = stage
        self.settings = settings
        self.layers = layout.layers(stage)
        self.first = stage == 0
        self.last = stage == layout.pipeline - 1
        lanes = settings.heads // layout.tensor
        self.parts = layout.parts(rank, stage)
        self.shards = [
            Shard(
                settings,
                self.layers,
                range(part * lanes, (part + 1) * lanes),
                first=self.first,
                last=self.last,
            )
            for part in self.parts
        ]
        self._root, *others = layout.ranks(stage)
        self._others = others if self._root == rank else []
        self._is_root = self._root == rank
        self._links = links

    def run(self, step: Step, x: Array | None) -> Array:
        """Run the stage's layers on the activations of the stage before, ``None`` for the first stage.

        Returns activations, or the scores of the wanted rows on the last stage. Raises LinkLostError.
        """
        for shard in self.shards:
            for sequence in step.drop:
                shard.forget(sequence)
        hidden = self.settings.hidden
        if x is None:
            x = self._reduce([shard.embed(step.tokens) for shard in self.shards], hidden)
        for layer in self.layers:
            normal = normalise(x)
            attended = [shard.attend(layer, normal, step.rows) for shard in self.shards]
            x = grid(x + self._reduce(attended, hidden))
            normal = normalise(x)
            fed = [shard.feed_forward(layer, normal) for shard in self.shards]
            x = grid(x + self._reduce(fed, hidden))
        if not self.last:
            return x
        normal = normalise(x[step.wanted])
        scores = [shard.logits(normal, step.context) for shard in self.shards]
        return self._reduce(scores, vocabulary_size(self.settings.heads))

    def _reduce(self, partials: Sequence[Array], columns: int) -> Array:
        total = partials[0]
        for partial in partials[1:]:
            total = total + partial
        if not self._is_root:
            root = self._links[self._root]
            root.send_array(total)
            return root.receive_array(columns)
        for other in self._others:
            total = total + self._links[other].receive_array(columns)
        for other in self._others:
            self._links[other].send_array(total)
        return total
