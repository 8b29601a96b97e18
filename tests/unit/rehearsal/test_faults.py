"""Groups that lose a rank behave as the engines do: mostly, nobody notices."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest


def test_with_a_worker_of_a_pipeline_dead_the_leader_looks_healthy_and_hangs(starter):
    api, ranks = starter.group(2, execute_timeout_seconds="3")
    api.ready()
    ranks[1].kill()
    assert api.status("/v1/health/ready") == 200
    begin = time.monotonic()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(api.call, "/v1/completions", {"prompt": "Every"})
        with pytest.raises(TimeoutError):
            api.call("/v1/completions", {"prompt": "Another"}, timeout=0.5)
        assert api.status("/v1/health/ready") == 200
        assert api.status("/v1/health/live") == 200
        assert ranks[0].running()
        status, body = answer.result(20)
    assert time.monotonic() - begin > 2.5
    assert (status, body["error"]["type"]) == (500, "InternalServerError")
    # The end is a clean one: whoever restarts only what has failed would not restart it.
    assert ranks[0].ends() == 0
    assert "EngineDeadError" in ranks[0].log


def test_with_a_tensor_slice_dead_the_next_request_fails_at_once(starter):
    api, ranks = starter.group(2, tensor=2)
    api.ready()
    ranks[1].kill()
    assert api.status("/v1/health/ready") == 200
    status, _ = api.call("/v1/completions", {"prompt": "Every"})
    assert status == 500
    assert ranks[0].ends() == 0


def test_with_the_leader_dead_workers_stay_up_and_useless(starter):
    api, ranks = starter.group(3)
    api.ready()
    ranks[0].kill()
    for worker in ranks[1:]:
        worker.logs("the group is broken and this rank waits for ever")
    # A leader that comes back alone waits for workers that will never join again.
    leader = starter.again(0)
    leader.logs("waiting for 2 more ranks")
    time.sleep(0.3)
    assert all(rank.running() for rank in (*ranks[1:], leader))
    assert api.status("/v1/health/ready") == 503


def test_a_worker_that_comes_back_alone_waits(starter):
    api, ranks = starter.group(2)
    api.ready()
    ranks[1].kill()
    alone = starter.again(1)
    alone.logs("its group is complete, waiting until it starts again")
    ranks[0].kill()
    starter.again(0)
    api.ready()
    assert api.text(max_tokens=3)


@pytest.mark.parametrize("moment", ["serving", "busy", "joining", "broken"])
def test_sigterm_ends_every_rank_at_once(starter, moment):
    slow = "0.2" if moment == "busy" else "0"
    api, ranks = starter.group(2, absent=(1,) if moment == "joining" else (), token_seconds=slow)
    if moment == "joining":
        ranks[0].logs("waiting for 1 more ranks")
        ranks += starter.group(2, absent=(0,))[1]
        ranks[1].logs("does not take this rank yet")
    else:
        api.ready()
    if moment == "busy":
        with pytest.raises(TimeoutError):
            api.call("/v1/completions", {"prompt": "Every", "max_tokens": 1000}, timeout=0.5)
    if moment == "broken":
        ranks.pop(0).kill()
        ranks[0].logs("waits for ever")
    begin = time.monotonic()
    for rank in ranks:
        rank.signal(signal.SIGTERM)
    assert [rank.ends() for rank in ranks] == [0] * len(ranks)
    assert time.monotonic() - begin < 2
    assert all("stopping" in rank.log for rank in ranks)


def test_idle_ranks_use_no_processor_time(starter):
    api, ranks = starter.group(2)
    api.ready()

    before = sum(rank.ticks() for rank in ranks)
    time.sleep(1)
    assert sum(rank.ticks() for rank in ranks) - before <= 2
