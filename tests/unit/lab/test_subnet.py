from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from nimctl.errors import NimctlError, RejectedError
from nimctl.lab import subnet


def test_the_same_name_gets_the_same_free_network():
    first = subnet.choose("lab", [])
    assert first == subnet.choose("lab", [])
    assert first != subnet.choose("molecule", [])


def test_networks_that_are_taken_are_left_alone():
    first = subnet.choose("lab", [])
    second = subnet.choose("lab", [first])
    assert not first.overlaps(second)
    # A route to something wider or narrower takes it, too.
    assert subnet.choose("lab", [first.supernet(new_prefix=23)]).subnet_of(IPv4Network("10.89.64.0/18"))
    assert not subnet.choose("lab", [first.supernet(new_prefix=23)]).overlaps(first)
    assert not subnet.choose("lab", [IPv4Network(f"{first[17]}/32")]).overlaps(first)


def test_a_machine_without_a_free_network_is_told_what_to_do():
    with pytest.raises(NimctlError, match="--subnet"):
        subnet.choose("lab", [IPv4Network("10.0.0.0/8")])


def test_addresses_follow_from_the_network():
    plan = subnet.Plan(IPv4Network("10.89.70.0/24"))
    assert (plan.gateway, plan.registry) == ("10.89.70.1", "10.89.70.2")
    assert [plan.node(f"node{number}") for number in (1, 8)] == ["10.89.70.11", "10.89.70.18"]


def test_hardware_addresses_are_local_and_follow_from_the_address():
    assert subnet.mac("10.89.70.11") == "02:00:0a:59:46:0b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.89.70.0", "at least a /27"),
        ("10.89.70.0/28", "at least a /27"),
        ("10.89.70.5/24", "host bits"),
        ("fd00::/64", "10.89.70.0/24"),
        ("nonsense", "10.89.70.0/24"),
    ],
)
def test_a_network_that_cannot_hold_a_lab_is_rejected(text, message):
    with pytest.raises(RejectedError, match=message):
        subnet.parse(text)


def test_a_small_network_holds_eight_nodes():
    network = subnet.parse("10.1.2.32/27")
    assert subnet.Plan(network).node("node8") == "10.1.2.50"
