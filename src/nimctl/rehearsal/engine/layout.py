"""Which rank holds which layers and which tensor slices."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import LaunchError


@dataclass(frozen=True, slots=True)
class Layout:
    """A group of ``nodes`` ranks that hold ``tensor`` x ``pipeline`` shards between them.

    Shards are counted stage by stage, and each rank holds the same number of consecutive ones, as vLLM
    and SGLang do: shard ``s`` is slice ``s % tensor`` of stage ``s // tensor``. A rank may therefore hold
    several stages, one stage, or a part of a stage that other ranks share.
    """

    nodes: int
    tensor: int
    pipeline: int
    shares: tuple[int, ...]

    @classmethod
    def make(cls, nodes: int, tensor: int, pipeline: int, layers: int, heads: int, share: str = "") -> Layout:
        """Check that the sizes fit together; raises LaunchError as the engines do."""
        problems = []
        if tensor * pipeline % nodes:
            problems.append(
                f"tensor parallel size {tensor} x pipeline parallel size {pipeline} = {tensor * pipeline} "
                f"shards cannot be divided over {nodes} nodes"
            )
        if heads % tensor:
            problems.append(
                f"total number of attention heads ({heads}) must be divisible by tensor parallel size "
                f"({tensor})"
            )
        if pipeline > layers:
            problems.append(
                f"pipeline parallel size {pipeline} is larger than the number of layers ({layers})"
            )
        shares = split_layers(layers, pipeline)
        if share:
            parts = share.split(",")
            if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
                problems.append(f"layer partition {share!r} is no list of numbers such as 31,30")
            else:
                shares = tuple(int(part) for part in parts)
                if len(shares) != pipeline:
                    problems.append(f"layer partition {share!r} has {len(shares)} parts, not {pipeline}")
                if sum(shares) != layers:
                    problems.append(
                        f"layer partition {share!r} adds up to {sum(shares)}, not {layers} layers"
                    )
        if problems:
            raise LaunchError(problems)
        return cls(nodes, tensor, pipeline, shares)

    @property
    def per_node(self) -> int:
        """How many shards each rank holds."""
        return self.tensor * self.pipeline // self.nodes

    def owner(self, stage: int, part: int) -> int:
        """The rank that holds one tensor slice of a stage."""
        return (stage * self.tensor + part) // self.per_node

    def parts(self, rank: int, stage: int) -> range:
        """The tensor slices of a stage that a rank holds; empty where it holds none."""
        first, end = rank * self.per_node, (rank + 1) * self.per_node
        base = stage * self.tensor
        return range(min(max(first - base, 0), self.tensor), max(min(end - base, self.tensor), 0))

    def ranks(self, stage: int) -> range:
        """The ranks that share a stage."""
        return range(self.owner(stage, 0), self.owner(stage, self.tensor - 1) + 1)

    def stages(self, rank: int) -> list[int]:
        """The stages of which a rank holds something, in order."""
        return [stage for stage in range(self.pipeline) if self.parts(rank, stage)]

    def layers(self, stage: int) -> range:
        """The layers of a stage."""
        first = sum(self.shares[:stage])
        return range(first, first + self.shares[stage])

    def source(self, rank: int, stage: int) -> int:
        """Where ``rank`` gets the input of a stage: from itself where it holds part of the stage before."""
        if rank in self.ranks(stage - 1):
            return rank
        return self.owner(stage - 1, self.parts(rank, stage)[0])

    def targets(self, rank: int, stage: int) -> list[int]:
        """The ranks to which ``rank`` sends the output of a stage that is not the last."""
        return [
            target
            for target in self.ranks(stage + 1)
            if target != rank and self.source(target, stage + 1) == rank
        ]


def split_layers(layers: int, stages: int) -> tuple[int, ...]:
    """Divide layers over stages, the first ones taking one more where it does not come out even."""
    return tuple(layers // stages + (stage < layers % stages) for stage in range(stages))
