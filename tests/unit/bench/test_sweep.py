"""Sweeps against an endpoint on loopback."""

import os
import signal
import threading
import time

import pytest

from nimctl.bench import sweep
from nimctl.bench.client import Dialect
from nimctl.bench.probe import EndpointError
from nimctl.bench.result import Limits
from nimctl.bench.stream import BadStreamError, Reader
from nimctl.errors import RejectedError


class Quiet:
    """A watcher that notes what it is told; ``then`` is called at each answer of a level."""

    def __init__(self, then=lambda: None):
        self.begun = []
        self.levels = []
        self._then = then
        self._warmup = True

    def begin(self, concurrency, requests, *, warmup):
        self._warmup = warmup
        self.begun.append((concurrency, requests, warmup))

    def answered(self, sample):
        if not self._warmup:
            self._then()

    def end(self, level):
        self.levels.append(level)


@pytest.fixture
def run(endpoint):
    def run(*levels, watcher=None, key=None, **changes):
        values = {
            "url": endpoint.url,
            "api": "chat",
            "model": "",
            "levels": levels or (2,),
            "isl": 100,
            "osl": 8,
            "requests": 6,
            "warmup": 0,
            "level_seconds": None,
            "timeout": 60.0,
            "limits": Limits(),
            "dialect": Dialect(),
        }
        return sweep.run(sweep.Order(**(values | changes)), key, watcher or Quiet())

    return run


def test_prompts_and_answers_have_the_length_that_was_asked_for(endpoint, run):
    endpoint.manners.template = 23
    [level] = run().levels
    assert (level.isl, level.osl) == (100, 8)
    prompts = [asked["messages"][0]["content"] for asked in endpoint.manners.asked if asked["stream"]]
    assert all(asked["ignore_eos"] for asked in endpoint.manners.asked)
    assert len({prompt[:30] for prompt in prompts}) == len(prompts), "a prefix cache would answer"


def test_a_level_keeps_its_number_of_requests_in_flight(endpoint, run):
    class Gathering(Quiet):
        def begin(self, concurrency, requests, *, warmup):
            super().begin(concurrency, requests, warmup=warmup)
            endpoint.manners.gather = concurrency

    watcher = Gathering()
    [one, many] = run(1, 5, requests=15, warmup=5, watcher=watcher).levels
    assert endpoint.manners.most_at_once == 5
    assert (one.completed, many.completed) == (15, 15)
    assert watcher.begun == [(1, 5, True), (1, 15, False), (5, 5, True), (5, 15, False)]
    assert watcher.levels == [one, many]


def test_tpot_is_by_tokens_and_itl_by_chunks(endpoint, run):
    endpoint.manners.tokens_per_chunk, endpoint.manners.seconds_per_chunk = 4, 0.02
    [level] = run(1, osl=16, requests=3).levels
    assert level.tokens_per_chunk == 4
    assert level.itl_ms.count == 3 * 3
    # Four chunks of four tokens: the three gaps between them are the time of 15 tokens after the first.
    assert level.tpot_ms.mean == pytest.approx(3 * level.itl_ms.mean / 15, abs=0.01)
    assert level.e2e_ms.mean == pytest.approx(level.ttft_ms.mean + 15 * level.tpot_ms.mean, abs=0.05)


def test_plain_completions(endpoint, run):
    [level] = run(api="completions").levels
    assert level.completed == 6
    assert "prompt" in endpoint.manners.asked[-1]


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ("ignore_eos", "does not take ignore_eos"),
        ("stream_options", "does not count the tokens of streams"),
        ("max_tokens", "wants max_completion_tokens"),
    ],
)
def test_a_field_that_the_endpoint_does_not_know_is_left_out(endpoint, run, refused, said):
    endpoint.manners.refuses = (refused,)
    swept = run()
    assert swept.levels[0].completed == 6
    assert swept.levels[0].osl == 8, "cut at the limit, so as long as it"
    assert any(said in note for note in swept.notes)
    assert refused not in endpoint.manners.asked[-1]


def test_without_any_count_of_tokens_there_is_no_tpot(endpoint, run):
    endpoint.manners.usage, endpoint.manners.finish = False, "stop"
    swept = run()
    [level] = swept.levels
    assert (level.tpot_ms, level.tokens_per_second, level.osl) == (None, None, None)
    assert level.ttft_ms is not None
    assert any("no usage" in note for note in swept.notes)


@pytest.mark.parametrize("kind", ["http 503", "cut off", "engine", "empty", "no stream"])
def test_failures_by_kind(endpoint, run, kind):
    endpoint.manners.failing, endpoint.manners.every = kind, 3
    [level] = run(requests=9).levels
    assert level.errors == {kind: 3}
    assert (level.requests, level.completed) == (9, 6)
    assert level.ttft_ms.count == 6


def test_silence_is_a_timeout(endpoint, run):
    endpoint.manners.failing, endpoint.manners.every = "hang", 2
    [level] = run(2, requests=2, timeout=1.5).levels
    assert level.errors == {"timeout": 1}


def test_a_sweep_ends_where_nothing_is_answered_any_more(endpoint, run):
    endpoint.manners.failing = "http 503"
    swept = run(1, 2, 4, requests=2)
    assert [level.concurrency for level in swept.levels] == [1]
    assert any("the sweep ended there" in note for note in swept.notes)


def test_goodput_counts_what_keeps_every_limit(endpoint, run):
    endpoint.manners.seconds_per_chunk = 0.005
    [good] = run(1, limits=Limits(ttft_ms=60_000, tpot_ms=60_000)).levels
    assert good.goodput.share == 1
    assert good.goodput.requests_per_second == good.requests_per_second
    [bad] = run(1, limits=Limits(ttft_ms=0.001, tpot_ms=60_000)).levels
    assert (bad.goodput.share, bad.goodput.requests_per_second) == (0, 0)
    endpoint.manners.failing, endpoint.manners.every = "http 503", 2
    [half] = run(1, limits=Limits(e2e_ms=60_000)).levels
    assert half.goodput.share == 0.5, "a failed request is no good one"


def test_a_level_ends_after_its_time(endpoint, run):
    endpoint.manners.seconds_per_chunk = 0.01
    [level] = run(1, requests=1000, level_seconds=0.3).levels
    assert 1 <= level.completed < 20
    assert level.complete


def test_ctrl_c_keeps_what_was_answered(endpoint, run):
    endpoint.manners.seconds_per_chunk = 0.005
    seen = []

    def third():
        seen.append(1)
        if len(seen) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    swept = run(1, 2, requests=200, watcher=Quiet(third))
    assert swept.interrupted
    [level] = swept.levels
    assert 3 <= level.completed < 200
    assert not level.complete
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_before_anything_was_measured(endpoint, run):
    endpoint.manners.seconds_per_chunk = 5.0

    def stop():
        while not endpoint.manners.asked:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=stop, daemon=True).start()
    swept = run()
    assert swept.interrupted
    assert swept.levels == ()


def test_a_key_is_sent_and_a_missing_one_is_explained(endpoint, run):
    endpoint.manners.key = "sk-secret"
    with pytest.raises(EndpointError, match="--api-key-env"):
        run()
    assert run(key="sk-secret").levels[0].completed == 6


def test_which_model(endpoint, run):
    assert run().model == "tiny"
    endpoint.manners.models = ("one", "two")
    with pytest.raises(EndpointError, match=r"serves one, two, so --model must say which"):
        run()
    with pytest.raises(EndpointError, match=r"serves one, two, not three"):
        run(model="three")
    assert run(model="two").model == "two"
    assert endpoint.manners.asked[-1]["model"] == "two"


def test_more_connections_than_the_process_may_have(run, monkeypatch):
    monkeypatch.setattr(sweep.resource, "getrlimit", lambda kind: (1024, 4096))
    allowed = []
    monkeypatch.setattr(sweep.resource, "setrlimit", lambda kind, limits: allowed.append(limits))
    with pytest.raises(RejectedError, match=r"needs 5064 open files.*may have 4096"):
        run(5000)
    sweep._allow_connections(2000)
    sweep._allow_connections(100)
    assert allowed == [(2064, 4096)]


@pytest.mark.parametrize(
    "line", [b'{"choices": 5}', b'{"choices": [null]}', b'{"choices": ["x"]}', b"[]", b"nothing"]
)
def test_a_line_that_is_no_event(line):
    with pytest.raises(BadStreamError):
        Reader(lambda: 0.0).feed(b"data: " + line + b"\n\n")


def test_an_event_may_arrive_in_pieces_and_with_company():
    times = iter(range(10))
    reader = Reader(lambda: float(next(times)))
    stream = (
        b': ping\n\nevent: x\ndata: {"choices": [{"delta": {"role": "assistant"}}]}\r\n\r\n'
        b'data: {"choices": [{"delta": {"reasoning_content": "a"}}]}\n\n'
        b'data:{"choices": [{"delta": {"content": "b"}, "finish_reason": "length"}], "usage": null}\n\n'
        b'data: {"choices": [], "usage": {"completion_tokens": 2}}\n\ndata: [DONE]\n\n'
    )
    for start in range(0, len(stream), 60):
        reader.feed(stream[start : start + 60])
    assert (reader.chunks, reader.finish, reader.done) == (2, "length", True)
    assert reader.usage == {"completion_tokens": 2}
    assert reader.last - reader.first == sum(reader.gaps) > 0


def test_nobody_listens(run):
    with pytest.raises(EndpointError, match=r"does not answer.*Is it up"):
        run(url="http://127.0.0.1:9")


def test_a_prompt_shorter_than_the_template(endpoint, run):
    endpoint.manners.template = 30
    with pytest.raises(EndpointError, match="takes 30 tokens by itself"):
        run(isl=20)
