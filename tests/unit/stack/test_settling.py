"""What all nodes say together: refusals once each, versions that all have chosen."""

from __future__ import annotations

from nimctl.lock import Lock
from nimctl.stack.locking import chosen, with_stack


def plans(**versions: str) -> dict:
    return {node: {"driver": {"version": version}} for node, version in versions.items()}


def test_a_version_that_all_have_chosen_is_locked():
    assert chosen(plans(a="580.178.04", b="580.178.04", c="")) == ({"driver": {"version": "580.178.04"}}, [])


def test_different_versions_are_not_locked_but_told():
    versions, notes = chosen(plans(n1="580.178.04", n2="580.178.04", n3="595.91.07"))
    assert versions == {}
    assert notes == [
        "stack driver: not locked, because the nodes chose different versions "
        "(n[1-2]: 580.178.04, n3: 595.91.07)"
    ]


def test_layers_without_a_version_of_their_own_are_not_locked():
    assert chosen({"a": {"fabric_manager": {"version": "580.178.04"}}}) == ({}, [])


def test_what_is_locked_stays():
    lock = Lock(stack={"driver": {"version": "580.126.20"}})
    added = with_stack(lock, {"driver": {"version": "580.178.04"}, "nccl": {"version": "2.30.7"}})
    assert added.stack == {"driver": {"version": "580.126.20"}, "nccl": {"version": "2.30.7"}}
