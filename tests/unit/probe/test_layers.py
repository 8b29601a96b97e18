"""What the layers below the driver decide about recorded hosts."""

from pathlib import Path

from ansible_collections.nimctl.multinode.plugins.module_utils.host.probe import probe

from nimctl.description import document
from nimctl.stack.host import Host
from nimctl.stack.layers import rdma, tuning
from nimctl.stack.plan import Question

HOSTS = Path(__file__).parents[3] / "tests" / "fixtures" / "hosts"


def recorded(name):
    return Host.from_probe(probe(str(HOSTS / name), str(HOSTS / name)))


def test_one_port_that_is_down_is_named_and_the_others_have_their_gid():
    hcas = [f"mlx5_{number}" for number in range(8)]
    context = {"fabric": {"kind": "roce", "rate": "400g", "hcas": hcas}, "node": "gpu01"}
    result = rdma.plan(Question(recorded("hgx-h200-x8-roce"), document.Rdma(), context=context))
    (problem,) = result.values["problems"]
    assert problem.startswith("gpu01: mlx5_7 port 1 is DOWN")
    assert set(result.values["gid_index"].values()) == {3}


def test_an_infiniband_machine_is_as_described():
    context = {"fabric": {"kind": "infiniband", "rate": "ndr", "ports": 8}, "node": "gpu01"}
    result = rdma.plan(Question(recorded("hgx-h100-x8"), document.Rdma(), context=context))
    assert result.values["problems"] == []


def test_nvlink_5_needs_management_datagrams():
    result = rdma.plan(Question(recorded("hgx-b200-x8"), document.Rdma()))
    assert "ib_umad" in result.values["load"]
    assert "load ib_umad" in result.will


def test_access_control_and_iommu_of_a_machine_for_guests_are_reported():
    host = recorded("l40s-pcie-x4")
    notes = " ".join(tuning.plan(Question(host, document.Tuning())).notes)
    assert all(bridge in notes for bridge in host.tuning.acs)
    assert "IOMMU translates" in notes
    assert host.tuning.acs
