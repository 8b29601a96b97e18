"""All that one rank does in a step: its stages, and the passing on between them and other ranks."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from .group import Group
from .layout import Layout
from .log import log
from .model import vocabulary_size
from .settings import Settings
from .stage import Stage, Step
from .wire import Array, Link


@dataclass(frozen=True, slots=True)
class Part:
    """What a rank holds of one stage; ``layers`` and ``tensor`` are the first and last, inclusive."""

    stage: int
    layers: tuple[int, int]
    tensor: tuple[int, int]
    tensor_size: int
    parameters: int


def load(group: Group) -> Runner:
    """Create this rank's layers and slices; takes ``start_seconds`` at least, as a large model would."""
    settings = group.settings
    layout = Layout.make(
        group.nodes, group.tensor, group.pipeline, settings.layers, settings.heads, settings.share
    )
    begin = time.monotonic()
    log.info("loading the model")
    runner = Runner(settings, layout, group.rank, group.links)
    time.sleep(max(0.0, settings.start_seconds - (time.monotonic() - begin)))
    for part in runner.topology():
        log.info(
            "rank %d/%d stage %s: layers %s-%s, tensor slices %s-%s of %s, %s parameters",
            group.rank, group.nodes, part.stage, *part.layers, *part.tensor, part.tensor_size,
            part.parameters,
        )  # fmt: skip
    return runner


class Runner:
    """All stages of this rank, joined to those of the others."""

    def __init__(self, settings: Settings, layout: Layout, rank: int, links: Mapping[int, Link]) -> None:
        self.rank = rank
        self.layout = layout
        self.settings = settings
        self.links = links
        self.stages = [Stage(settings, layout, rank, stage, links) for stage in layout.stages(rank)]

    @property
    def collective_peers(self) -> frozenset[int]:
        """The ranks with which this one shares a stage: losing one of these is noticed at once."""
        peers = {peer for stage in self.stages for peer in self.layout.ranks(stage.stage)}
        return frozenset(peers - {self.rank})

    def topology(self) -> list[Part]:
        """What this rank holds, one entry for each stage."""
        return [
            Part(
                stage.stage,
                (stage.layers.start, stage.layers.stop - 1),
                (stage.parts.start, stage.parts.stop - 1),
                self.layout.tensor,
                sum(shard.parameters for shard in stage.shards),
            )
            for stage in self.stages
        ]

    def run(self, step: Step) -> Array | None:
        """Do this rank's part of a step; rank 0 gets the scores of the wanted rows, others get ``None``."""
        scores: Array | None = None
        x: Array | None = None
        final = self.layout.pipeline - 1
        for stage in self.stages:
            if stage.stage:
                source = self.layout.source(self.rank, stage.stage)
                if source != self.rank:
                    x = self.links[source].receive_array(self.settings.hidden)
            x = stage.run(step, x)
            if stage.stage == final:
                scores = x
            else:
                for target in self.layout.targets(self.rank, stage.stage):
                    self.links[target].send_array(x)
        if self.rank == 0 and scores is None:
            source = self.layout.owner(final, 0)
            scores = self.links[source].receive_array(vocabulary_size(self.settings.heads))
        elif scores is not None and self.rank == self.layout.owner(final, 0) > 0:
            self.links[0].send_array(scores)
        return scores if self.rank == 0 else None
