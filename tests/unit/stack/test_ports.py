"""Ports of HCAs against a description: each difference is named with its node, device and port."""

import pytest

from nimctl.lock import Attachment
from nimctl.stack.host import Gid, Host, IbPort, Interface
from nimctl.stack.ports import check, discovered, gid_index

MAPPED = "0000:0000:0000:0000:0000:ffff:0a01:000b"


def port(device="mlx5_0", **fields):
    ready = {
        "link_layer": "InfiniBand",
        "state": "ACTIVE",
        "physical_state": "LinkUp",
        "rate_gbps": 400,
    }
    return IbPort(device=device, **{**ready, **fields})


def roce(device="mlx5_0", index=3, **fields):
    gids = (
        Gid(index=1, gid="fe80:0000:0000:0000:0000:0000:0000:0001", type="RoCE v2"),
        Gid(index=2, gid=MAPPED, type="IB/RoCE v1"),
        Gid(index=index, gid=MAPPED, type="RoCE v2"),
    )
    return port(device, **{"link_layer": "Ethernet", "gids": gids, "netdev": "eth2", **fields})


def checked(*ports, interfaces=(), **fabric):
    ready = {"kind": "infiniband", "rate": "ndr", "hcas": ["mlx5_0"]}
    return check(Host(infiniband=ports, interfaces=interfaces), {**ready, **fabric}, "gpu01")


def test_a_port_that_is_as_described():
    assert checked(port()).problems == ()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (port(link_layer="Ethernet"), "LINK_TYPE_P1=1"),
        (port(state="DOWN", physical_state="Polling"), "is DOWN (Polling)"),
        (port(state="INIT"), "no subnet manager"),
        (port(rate_gbps=200), "runs at 200 Gb/s, and ndr is 400 Gb/s"),
    ],
)
def test_each_difference_is_one_line(found, said):
    (problem,) = checked(found).problems
    assert problem.startswith("gpu01: mlx5_0 port 1")
    assert said in problem


def test_an_hca_that_is_missing_is_named_with_those_that_are_there():
    problems = checked(port("mlx5_1"), hcas=["mlx5_0", "mlx5_1"]).problems
    assert len(problems) == 1
    assert "no HCA mlx5_0; the node has mlx5_1" in problems[0]


def test_a_port_may_be_named_with_its_number():
    first, second = port(port=1), port(port=2, state="DOWN")
    assert checked(first, second, hcas=["mlx5_0:1"]).problems == ()
    assert "mlx5_0 port 2 is DOWN" in checked(first, second, hcas=["mlx5_0:2"]).problems[0]


def test_ports_that_nobody_named_are_counted_without_those_of_nvlink():
    manager = port("mlx5_8", nvlink_manager=True, state="DOWN")
    assert checked(port(), manager, hcas=[], ports=1).problems == ()
    assert (
        "1 InfiniBand ports were found, and fabric.ports says 8"
        in (checked(port(), manager, hcas=[], ports=8).problems[0])
    )


def test_the_gid_is_of_version_2_with_an_ipv4_address():
    assert gid_index(roce()) == 3
    assert gid_index(port()) is None
    result = checked(roce(), kind="roce", rate="400g")
    assert result.gid_index == {"mlx5_0": 3}
    assert result.problems == ()


def test_roce_without_an_address_is_a_problem():
    assert "no GID of RoCE v2: does eth2" in checked(roce(gids=()), kind="roce", rate="400g").problems[0]


def test_gids_that_differ_and_a_small_mtu_are_noted():
    small = (Interface(name="eth2", mtu=1500),)
    two = [roce(), roce("mlx5_1", index=5)]
    notes = checked(*two, interfaces=small, kind="roce", rate="400g", hcas=["mlx5_0", "mlx5_1"]).notes
    assert "mlx5_0 3, mlx5_1 5" in notes[0]
    assert "MTU of eth2" in notes[1]
    assert "PFC and ECN" in notes[2]


@pytest.mark.parametrize("fabric", [{}, {"kind": "ethernet", "rate": "100g"}])
def test_without_an_rdma_fabric_nothing_is_checked(fabric):
    assert check(Host(infiniband=(port(state="DOWN"),)), fabric, "n").problems == ()


def found(*ports, interfaces=(), address="10.1.0.11", **fabric):
    ready = {"kind": "infiniband", "rate": "ndr"}
    return discovered(Host(infiniband=ports, interfaces=interfaces), {**ready, **fabric}, address)


def test_hcas_that_are_up_at_the_speed_of_the_fabric_are_found():
    slow, down = port("mlx5_2", rate_gbps=100), port("mlx5_3", state="DOWN")
    nvlink, other = port("mlx5_4", nvlink_manager=True), port("mlx5_5", link_layer="Ethernet")
    assert found(port(), port("mlx5_1"), slow, down, nvlink, other) == Attachment(("mlx5_0", "mlx5_1"))
    assert found(slow).hcas == ("mlx5_2",)
    assert found(down) == Attachment()


def test_ports_of_one_hca_are_told_apart():
    assert found(port(), port(port=2), port("mlx5_1")).hcas == ("mlx5_0:1", "mlx5_0:2", "mlx5_1")


@pytest.mark.parametrize(
    ("fabric", "address", "interface"),
    [
        ({}, "10.1.0.11", "ib0"),
        # Not the fabric's: LNet and IP over InfiniBand would be told a wrong one.
        ({}, "10.0.0.11", ""),
        ({"kind": "ethernet", "rate": "10g"}, "10.0.0.11", "eth0"),
        ({"kind": "ethernet", "rate": "10g"}, "192.0.2.1", ""),
        ({"interface": "ib7"}, "10.1.0.11", ""),
        ({"kind": ""}, "10.1.0.11", ""),
    ],
)
def test_the_interface_is_the_one_on_which_ranks_meet(fabric, address, interface):
    there = (
        Interface(name="ib0", addresses=("10.1.0.11/24",)),
        Interface(name="eth0", addresses=("10.0.0.11/24",)),
    )
    assert found(port(netdev="ib0"), interfaces=there, address=address, **fabric).interface == interface


def test_what_the_description_names_is_not_looked_for():
    assert found(port("mlx5_1"), hcas=["mlx5_0"]) == Attachment()
