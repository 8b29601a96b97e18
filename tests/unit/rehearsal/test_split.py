"""The same tokens however the model is split, and no rank with more than its share."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nimctl.rehearsal.engine.errors import LaunchError
from nimctl.rehearsal.engine.layout import Layout, split_layers
from nimctl.rehearsal.engine.model import Rows, Shard
from nimctl.rehearsal.engine.runner import Runner
from nimctl.rehearsal.engine.settings import Settings
from nimctl.rehearsal.engine.stage import Step
from nimctl.rehearsal.engine.text import encode

PROMPTS = ("Say hello to the cluster", "Große Wörter, ümläuts & 100 %. " + "The leader waits. " * 20)


@pytest.fixture(scope="module")
def expected(single):
    return answers(single)


@pytest.fixture(scope="module")
def total(single):
    return single.call("/v1/rehearsal/topology")[1][0]["parameters"]


def answers(api):
    return [
        api.text(PROMPTS[0], temperature=0),
        api.text(PROMPTS[1], temperature=0),
        api.text(PROMPTS[1], temperature=0.9, seed=7),
    ]


@pytest.mark.parametrize(
    ("nodes", "tensor", "pipeline"),
    [(2, 1, 2), (4, 1, 4), (2, 2, 1), (4, 2, 2), (2, 4, 2)],
    ids=["pp2", "pp4", "tp2", "tp2-pp2", "tp4-pp2-on-two"],
)
def test_every_split_gives_the_same_tokens(starter, expected, total, nodes, tensor, pipeline):
    api, _ = starter.group(nodes, tensor, pipeline)
    api.ready()
    assert answers(api) == expected
    ranks = api.call("/v1/rehearsal/topology")[1]
    assert [rank["address"] for rank in ranks] == [f"127.0.0.{number + 1}" for number in range(nodes)]
    # Together the ranks hold the model exactly once: none has more than its own layers and slices.
    assert sum(rank["parameters"] for rank in ranks) == total
    assert max(rank["parameters"] for rank in ranks) < 1.2 * total / nodes
    assert {rank["tensor_size"] for rank in ranks} == {tensor}


def scores(tensor, pipeline, chunks):
    """The scores after a prompt that is read in pieces, all shards in this process."""
    settings = Settings(layers=5)
    runner = Runner(settings, Layout.make(1, tensor, pipeline, settings.layers, settings.heads), 0, {})
    prompt = encode(PROMPTS[1])
    for number, (begin, end) in enumerate(itertools.pairwise((0, *chunks, len(prompt)))):
        piece = prompt[begin:end]
        wanted, context = ([len(piece) - 1], [prompt[-2:]]) if end == len(prompt) else ([], [])
        result = runner.run(Step(number, piece, [Rows(1, 0, len(piece))], wanted, context))
    return result


@pytest.mark.parametrize(("tensor", "pipeline"), [(2, 1), (4, 1), (16, 1), (1, 5), (2, 3), (8, 2)])
@pytest.mark.parametrize("chunks", [(), (1, 2, 60)])
def test_scores_are_equal_to_the_last_bit(tensor, pipeline, chunks):
    assert np.array_equal(scores(tensor, pipeline, chunks), scores(1, 1, (40,)))


def test_layers_divide_unevenly(starter, shared):
    whole, _ = shared.group(1, layers="13")
    halves, ranks = starter.group(2, layers="13")
    whole.ready()
    halves.ready()
    assert halves.text(temperature=0) == whole.text(temperature=0)
    assert [rank["layers"] for rank in halves.call("/v1/rehearsal/topology")[1]] == [[0, 6], [7, 12]]
    assert "layers 7-12" in ranks[1].log
    assert "layers 0-6" not in ranks[1].log


def test_another_seed_is_another_model(starter, expected):
    api, _ = starter.group(1, seed="2")
    api.ready()
    assert api.text(PROMPTS[0], temperature=0) != expected[0][0]


def test_a_shard_creates_only_its_layers():
    settings = Settings(layers=6)
    parts = [Shard(settings, range(2, 4), range(lane, lane + 4), first=False, last=False) for lane in (0, 4)]
    both = Shard(settings, range(2, 4), range(8), first=False, last=False)
    assert sum(part.parameters for part in parts) == both.parameters
    assert both.parameters == 2 * (settings.hidden * 12 * settings.hidden) // 2


@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 8))
def test_each_shard_has_one_owner_and_every_input_a_source(nodes, tensor, pipeline):
    if tensor * pipeline % nodes:
        with pytest.raises(LaunchError, match="cannot be divided over"):
            Layout.make(nodes, tensor, pipeline, 16, 840)
        return
    layout = Layout.make(nodes, tensor, pipeline, 16, 840)
    held = [
        (stage, part)
        for rank in range(nodes)
        for stage in layout.stages(rank)
        for part in layout.parts(rank, stage)
    ]
    assert sorted(held) == list(itertools.product(range(pipeline), range(tensor)))
    assert [layer for stage in range(pipeline) for layer in layout.layers(stage)] == list(range(16))
    for stage in range(1, pipeline):
        for rank in layout.ranks(stage):
            source = layout.source(rank, stage)
            assert source in layout.ranks(stage - 1)
            if source != rank:
                assert rank in layout.targets(source, stage - 1)


def test_early_stages_take_the_layers_that_are_left():
    assert split_layers(61, 2) == (31, 30)
    assert split_layers(126, 4) == (32, 32, 31, 31)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 10, "tensor": 4}, "attention heads"),
        ({"pipeline": 9}, "larger than the number of layers"),
        ({"share": "5,4"}, "adds up to 9, not 8"),
        ({"share": "8"}, "has 1 parts, not 2"),
        ({"share": "four,four"}, "no list of numbers"),
    ],
)
def test_sizes_that_do_not_fit_are_named(change, message):
    values = {"nodes": 1, "tensor": 1, "pipeline": 2, "layers": 8, "heads": 16, **change}
    with pytest.raises(LaunchError, match=message):
        Layout.make(**values)


def test_a_partition_can_be_given():
    assert [Layout.make(1, 1, 2, 8, 16, "3,5").layers(stage) for stage in (0, 1)] == [range(3), range(3, 8)]
