"""A replica lives and dies as a whole, whatever happens to one of its ranks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import Replica, supervise

HOUR = 3600.0


def serving(**options: object) -> Replica:
    replica = Replica(**options)
    replica.until(lambda: replica.leader.state == "serving", replica.cold + 35)
    return replica


@pytest.mark.parametrize("nodes", [1, 2, 4])
def test_it_starts_rank_0_first_and_serves(nodes: int) -> None:
    replica = serving(nodes=nodes)
    assert replica.serves
    assert all(len(unit.starts) == 1 for unit in replica.units.values())
    assert all(replica.units[0].starts[0] <= unit.starts[0] for unit in replica.units.values())


@pytest.mark.parametrize("rank", [0, 1, 3])
def test_a_rank_that_ends_has_the_replica_back_ten_seconds_after_a_cold_start(rank: int) -> None:
    replica = serving(nodes=4)
    replica.run(60)
    replica.kill(rank)
    took = replica.until(lambda: replica.serves and replica.leader.state == "serving", 60)
    assert took <= replica.cold + 10
    assert [len(unit.starts) for unit in replica.units.values()] == [2, 2, 2, 2]
    assert f"rank {rank}" in replica.leader.reason


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_somebody_restarts_alone_takes_the_others_with_it(rank: int) -> None:
    replica = serving()
    replica.units[rank].end()
    replica.units[rank].start(replica.now)
    replica.until(lambda: replica.leader.restarts == 1, 5)
    assert "by somebody else" in replica.leader.reason
    replica.until(lambda: replica.serves, replica.cold + 10)


@pytest.mark.parametrize("idle", [True, False])
@pytest.mark.parametrize("later", [1, 17, 44])
def test_a_silent_hang_is_found_in_one_to_two_minutes(idle: bool, later: int) -> None:
    replica = serving(load=lambda _: not idle)
    replica.run(300 + later)
    replica.hung = True
    took = replica.until(lambda: replica.leader.restarts == 1, 130)
    assert 60 <= took <= 120
    assert "no token for" in replica.leader.reason
    replica.until(lambda: replica.serves, replica.cold + 10)


def test_a_node_that_stays_away_costs_one_restart_and_is_waited_for() -> None:
    replica = serving(nodes=3)
    replica.power(2, on=False)
    replica.run(HOUR)
    assert replica.leader.state == "degraded"
    assert replica.leader.waits_for == ["gpu02"]
    assert replica.leader.restarts == 1
    assert not any(unit.up for unit in replica.units.values())
    replica.power(2, on=True)
    replica.until(lambda: replica.serves and replica.leader.state == "serving", replica.cold + 10)
    assert replica.leader.waits_for == []


def test_a_cut_stops_both_sides_and_heals_by_itself() -> None:
    replica = serving(nodes=3)
    replica.cut.add(1)
    replica.run(40)
    assert not any(unit.up for unit in replica.units.values())
    assert replica.leader.waits_for == ["gpu01"]
    replica.cut.clear()
    replica.until(lambda: replica.serves, replica.cold + 10)


def test_a_short_cut_is_nobodys_business() -> None:
    replica = serving()
    replica.cut.add(1)
    replica.run(10)
    replica.cut.clear()
    replica.run(60)
    assert replica.leader.restarts == 0


@pytest.mark.parametrize("seconds", [5.0, 60.0])
@pytest.mark.parametrize("rank", [0, 1])
def test_a_node_that_reboots_comes_back_into_its_replica(rank: int, seconds: float) -> None:
    replica = serving(nodes=3)
    replica.power(rank, on=False)
    replica.run(seconds)
    replica.power(rank, on=True)
    replica.until(lambda: replica.serves and replica.leader.state == "serving", replica.cold + 30)
    assert len({len(unit.starts) for unit in replica.units.values()}) == 1


@pytest.mark.parametrize("rank", [0, 1])
def test_a_supervisor_that_is_replaced_leaves_the_ranks_running(rank: int) -> None:
    replica = serving(nodes=3)
    replica.run(30)
    replica.unsupervised.add(rank)
    replica.run(8)
    replica.unsupervised.clear()
    replica.restart_supervisor(rank)
    replica.run(120)
    assert [len(unit.starts) for unit in replica.units.values()] == [1, 1, 1]
    assert replica.serves
    assert replica.leader.state == "serving"


def test_a_supervisor_that_is_replaced_during_a_start_neither_breaks_nor_lengthens_it() -> None:
    replica = Replica(nodes=3, cold=120)
    replica.run(40)
    for rank in range(3):
        replica.restart_supervisor(rank)
    took = replica.until(lambda: replica.leader.state == "serving", 120)
    assert took <= 120 - 40 + 10
    assert [len(unit.starts) for unit in replica.units.values()] == [1, 1, 1]


def test_no_false_restart_in_an_hour_of_saturation_with_long_loads_and_prompts() -> None:
    """15 minutes to load; prompts of 100k tokens of which a step is done every 40 s; a queue of 25 s."""
    replica = Replica(nodes=2, cold=900, load=lambda _: True, deadline=2700)
    replica.stalled = lambda now: now % 40 > 1
    replica.until(lambda: replica.leader.state == "serving", 1000)
    replica.run(HOUR)
    assert replica.leader.restarts == 0
    assert replica.serves


def test_an_idle_hour_costs_less_than_two_tokens_a_minute() -> None:
    replica = serving()
    asked = replica.questions
    replica.run(HOUR)
    assert replica.questions - asked <= 2 * 60
    assert replica.leader.restarts == 0


def test_a_start_that_never_succeeds_ends_in_an_alert_and_not_in_a_loop() -> None:
    replica = Replica(nodes=2, cold=5, deadline=60.0)
    replica.broken = lambda: True
    replica.run(2 * HOUR)
    assert replica.leader.state == "failed"
    assert len(replica.units[0].starts) == 1 + replica.rules.attempts
    assert not any(unit.up for unit in replica.units.values())
    assert "did not serve within 60 s" in replica.leader.reason
    gaps = [b - a for a, b in zip(replica.units[0].starts, replica.units[0].starts[1:], strict=False)]
    assert gaps == sorted(gaps)
    replica.broken = lambda: False
    replica.restart_supervisor(0)
    replica.until(lambda: replica.serves, replica.cold + 15)


def test_service_for_a_while_gives_the_attempts_back() -> None:
    replica = serving()
    for _ in range(2 * replica.rules.attempts):
        replica.run(replica.rules.stable + 5)
        replica.kill(1)
        replica.until(lambda: replica.serves, replica.cold + 10)
    assert replica.leader.state != "failed"


def test_one_that_answers_nothing_and_counts_nothing_is_given_more_time() -> None:
    rules = supervise.Rules()
    pulse = supervise.Pulse(rules, 0.0)
    asked = [now for now in range(600) if pulse.step(float(now), supervise.Signs())[0]]
    assert asked == [45]
    patience = rules.patience * supervise.BLIND
    assert pulse.step(600.0, supervise.Signs(answered=False)) == (patience, "")


def test_workers_wait_for_what_the_leader_publishes_and_a_wrong_one_is_named() -> None:
    expected = {"address": "10.0.0.1", "port": "20000"}
    leader = supervise.Leader(supervise.Rules(), {}, handshake=expected)
    leader.resume(0.0, supervise.Own(False), {})
    leader.tick(1.0, supervise.Own(False), {}, supervise.Signs())
    own = supervise.Own(True, "i")
    leader.tick(2.0, own, {}, supervise.Signs())
    assert not leader.go
    leader.tick(3.0, own, {}, supervise.Signs(published=expected))
    assert leader.go
    leader = supervise.Leader(supervise.Rules(), {}, handshake=expected)
    leader.resume(0.0, supervise.Own(False), {})
    leader.tick(1.0, supervise.Own(False), {}, supervise.Signs())
    leader.tick(2.0, own, {}, supervise.Signs(published={**expected, "address": "192.168.1.1"}))
    assert leader.reason == (
        "rank 0 gives its workers address 192.168.1.1, port 20000, but they are defined with "
        "address 10.0.0.1, port 20000"
    )


FAULTS = st.tuples(
    st.sampled_from(["kill", "off", "on", "cut", "heal", "hang", "supervisor", "wait"]),
    st.integers(0, 2),
    st.integers(1, 40),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(FAULTS, max_size=12))
def test_whatever_happened_it_serves_in_the_end(faults: list[tuple[str, int, int]]) -> None:
    replica = Replica(nodes=3, cold=10, attempts=1000, stable=30.0, longest_backoff=20.0)
    replica.run(30)
    for what, rank, seconds in faults:
        if what == "kill":
            replica.kill(rank)
        elif what == "off" and rank not in replica.down:
            replica.power(rank, on=False)
        elif what == "on" and rank in replica.down:
            replica.power(rank, on=True)
        elif what == "cut":
            replica.cut.add(rank)
        elif what == "heal":
            replica.cut.clear()
        elif what == "hang":
            replica.hung = True
        elif what == "supervisor" and rank not in replica.down:
            replica.restart_supervisor(rank)
        replica.run(seconds)
    replica.cut.clear()
    for rank in list(replica.down):
        replica.power(rank, on=True)
    replica.until(lambda: replica.serves and replica.leader.state == "serving", 200)
    replica.run(60)
    assert replica.leader.state == "serving"
