"""Reading and writing cluster.lock.yml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from nimctl.errors import DescriptionError
from nimctl.lock import Attachment, Lock, ReplicaSeats, Seat, format_lock, lock_file, read_lock, write_lock

DIGEST = "sha256:" + "0123456789abcdef" * 4
LOCK = Lock(
    images={"registry.lab:5000/rehearsal:1": DIGEST, "10.0.0.1:5000/x:2": DIGEST},
    placement={
        "r1": (
            ReplicaSeats((Seat("gpu01", (0, 1)), Seat("gpu02", (2, 3))), {"rendezvous": 50000}),
            ReplicaSeats((Seat("on"), Seat("007"))),
        )
    },
    nodes={"gpu01": Attachment(("mlx5_0", "mlx5_1:2"), "ib0"), "007": Attachment(interface="on")},
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    assert write_lock(tmp_path, LOCK)
    assert read_lock(tmp_path) == LOCK
    assert not write_lock(tmp_path, LOCK)


def test_there_may_be_none(tmp_path: Path) -> None:
    assert read_lock(tmp_path) is None
    write_lock(tmp_path, Lock())
    assert read_lock(tmp_path) == Lock()


def test_the_same_lock_is_the_same_text() -> None:
    mixed = {"images": dict(reversed(LOCK.images.items())), "nodes": dict(reversed(LOCK.nodes.items()))}
    other = Lock(placement=LOCK.placement, **mixed)
    assert format_lock(LOCK) == format_lock(other)
    assert format_lock(LOCK).startswith("# ")
    assert yaml.safe_load(format_lock(LOCK))["placement"]["r1"][1] == {
        "ranks": [{"node": "on"}, {"node": "007"}]
    }


def test_one_line_for_each_rank_in_a_difference() -> None:
    moved = replace(LOCK, placement={"r1": (ReplicaSeats((Seat("gpu01", (0, 1)), Seat("gpu09", (2, 3)))),)})
    before, after = set(format_lock(LOCK).splitlines()), set(format_lock(moved).splitlines())
    assert list(after - before) == ["        - {node: gpu09, gpus: [2, 3]}"]


def test_nobody_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lock(tmp_path, LOCK)

    def interrupted(handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nimctl.lock.os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_lock(tmp_path, Lock())
    assert read_lock(tmp_path) == LOCK
    assert [file.name for file in tmp_path.iterdir()] == ["cluster.lock.yml"]


def test_the_mode_of_the_file_stays(tmp_path: Path) -> None:
    write_lock(tmp_path, Lock())
    lock_file(tmp_path).chmod(0o600)
    write_lock(tmp_path, LOCK)
    assert lock_file(tmp_path).stat().st_mode & 0o777 == 0o600


GOOD = "plugin: nimctl.multinode.cluster\nversion: 1\n"


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("", ["1:1"]),
        ("[]\n", ["1:1"]),
        ("a: [\n", ["2:1"]),
        ("version: 2\nplugin: nimctl.multinode.cluster\n", ["1:1"]),
        ("version: 1\n", ["1:1"]),
        (f"{GOOD}image: {{}}\n", ["3:1"]),
        (f"{GOOD}images:\n  a: sha256:12\n  b: [1]\n", ["4:3", "5:3"]),
        (f"{GOOD}images: 3\nplacement: 4\n", ["3:1", "4:1"]),
        (f"{GOOD}placement:\n  r1: x\n", ["4:3"]),
        (f"{GOOD}placement:\n  r1:\n    - ranks: []\n", ["5:7"]),
        (f"{GOOD}placement:\n  r1:\n    - ranks: [{{node: a}}]\n      port: 1\n", ["6:7"]),
        (f"{GOOD}placement:\n  r1:\n    - ranks: [{{node: a}}]\n      ports: {{x: 70000}}\n", ["6:7"]),
        (f"{GOOD}placement:\n  r1:\n    - ranks: [{{node: a, gpus: [1, 1]}}]\n", ["5:25"]),
        (f"{GOOD}placement:\n  r1:\n    - ranks: [{{node: '{{{{ x }}}}'}}]\n", ["5:15"]),
        (f"{GOOD}images: {{}}\nimages: {{}}\n", ["4:1"]),
    ],
)
def test_a_bad_lock_is_located(tmp_path: Path, text: str, places: list[str]) -> None:
    lock_file(tmp_path).write_text(text, encoding="utf-8")
    with pytest.raises(DescriptionError) as caught:
        read_lock(tmp_path)
    assert [f"{problem.line}:{problem.column}" for problem in caught.value.problems] == places
    assert all(problem.file == lock_file(tmp_path) for problem in caught.value.problems)
