"""The lock keeps what was placed in its place."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nimctl.lock import Lock, ReplicaSeats, Seat
from nimctl.locking import seats_of
from nimctl.placement import Placement

Place = Callable[..., Placement]
Rejected = Callable[..., dict[str, str]]
PLAIN = '  - {hosts: "node[1-4]", addresses: "10.0.1.[1-4]", gpu: {count: 0}}\n'
DIGEST = "sha256:" + "ab" * 32


def where(placement: Placement) -> dict[str, tuple[str, tuple[int, ...]]]:
    return {rank.name: (rank.node, rank.gpus) for rank in placement.ranks}


def specs(placement: Placement) -> dict[str, str]:
    return {rank.name: rank.spec for rank in placement.ranks}


A = "name: a, parallel: {tensor: 4}"
B = "name: b, parallel: {tensor: 4}, port: 8001"
C = "name: c, parallel: {tensor: 8, pipeline: 2}, port: 8002"


def test_removing_a_deployment_moves_no_other(place: Place) -> None:
    before = place(A, B, C)
    lock = Lock(placement=seats_of(before))
    assert specs(place(B, C, lock=lock)) == {k: v for k, v in specs(before).items() if not k.startswith("a-")}
    assert where(place(B, C)) != {k: v for k, v in where(before).items() if not k.startswith("a-")}


def test_internal_ports_stay_as_well(place: Place) -> None:
    pair = ('name: a, hosts: "gpu[01-02]", gpus: [0]', 'name: b, hosts: "gpu[01-02]", gpus: [1], port: 8001')
    before = place(*pair)
    after = place(pair[1], lock=Lock(placement=seats_of(before)))
    assert after.ranks[0].ports["rendezvous"] == 29601
    assert specs(after).items() <= specs(before).items()


def test_a_node_more_changes_nothing(place: Place) -> None:
    before = place(A, B, C)
    nodes = (
        "  - {hosts: gpu00, addresses: 10.0.0.9, gpu: {model: h100-sxm, count: 8}}\n"
        '  - {hosts: "gpu[01-04]", addresses: "10.0.0.[1-4]", gpu: {model: h100-sxm, count: 8}}\n'
    )
    assert specs(place(A, B, C, nodes=nodes, lock=Lock(placement=seats_of(before)))) == specs(before)


def test_a_new_deployment_goes_around_what_is_there(place: Place) -> None:
    before = place(B)
    after = place(A, B, lock=Lock(placement=seats_of(before)))
    assert where(after) == {"b-0-0": ("gpu01", (0, 1, 2, 3)), "a-0-0": ("gpu01", (4, 5, 6, 7))}


def test_more_replicas_leave_the_first_ones(place: Place) -> None:
    before = place("name: a, replicas: 2")
    after = place("name: a, replicas: 3", lock=Lock(placement=seats_of(before)))
    assert where(before).items() <= where(after).items()


def test_the_description_wins_over_the_lock(place: Place) -> None:
    lock = Lock(placement=seats_of(place("name: a, hosts: gpu01")))
    moved = place("name: a, hosts: gpu02", lock=lock)
    assert where(moved) == {"a-0-0": ("gpu02", tuple(range(8)))}
    assert any("no longer fits its place" in note for note in moved.notes)
    smaller = place("name: a, parallel: {tensor: 2}", lock=lock)
    assert smaller.ranks[0].gpus == (0, 1)


@pytest.mark.parametrize(
    ("seat", "words"),
    [
        (Seat("gpu09", (0,)), "no node of this cluster any more"),
        (Seat("gpu05", (0,)), "state: absent"),
        (Seat("gpu01", (9,)), "GPU 9 of gpu01"),
    ],
)
def test_a_place_that_is_gone_is_a_problem(rejected: Rejected, seat: Seat, words: str) -> None:
    nodes = (
        '  - {hosts: "gpu[01-04]", addresses: "10.0.0.[1-4]", gpu: {model: h100-sxm, count: 8}}\n'
        "  - {hosts: gpu05, addresses: 10.0.0.5, gpu: {model: h100-sxm, count: 8}, state: absent}\n"
    )
    lock = Lock(placement={"a": (ReplicaSeats((seat,)),)})
    problems = rejected("name: a, gpus: [0]", nodes=nodes, lock=lock)
    assert list(problems) == ["0"]
    assert words in problems["0"]
    assert "--upgrade placement` places anew (with `--upgrade a`: this deployment alone" in problems["0"]


def test_a_description_that_takes_a_locked_gpu_is_told_who_has_it(place: Place, rejected: Rejected) -> None:
    lock = Lock(placement=seats_of(place(A)))
    problems = rejected(A, "name: z, hosts: gpu01, gpus: [0], port: 8009", lock=lock)
    assert "GPU 0 of gpu01 is used by a" in problems["1.gpus"]


def test_a_locked_port_that_is_taken_moves(place: Place) -> None:
    before = place("name: a, parallel: {tensor: 8, pipeline: 2}")
    lock = Lock(placement=seats_of(before))
    after = place("name: a, parallel: {tensor: 8, pipeline: 2}, port: 29600", lock=lock)
    assert after.ranks[0].ports == {"api": 29600, "rendezvous": 29601}


def test_images_come_by_the_locked_digest(place: Place) -> None:
    unlocked = place("name: a", nodes=PLAIN)
    assert unlocked.ranks[0].image == "registry.lab:5000/rehearsal:1"
    assert any("has no digest yet" in note for note in unlocked.notes)
    locked = place("name: a", nodes=PLAIN, lock=Lock(images={"registry.lab:5000/rehearsal:1": DIGEST}))
    assert locked.ranks[0].image == f"registry.lab:5000/rehearsal@{DIGEST}"
    assert not locked.notes
    assert locked.ranks[0].spec != unlocked.ranks[0].spec
