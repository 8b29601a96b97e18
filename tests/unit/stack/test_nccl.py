"""What a host has of NCCL: which library for which CUDA, and the variables of its fabric."""

import pytest

from nimctl.contracts import network
from nimctl.description.document import Nccl
from nimctl.stack.host import Driver, Host, Package, PciDevice, System
from nimctl.stack.layers import nccl
from nimctl.stack.plan import AskError, Offers, Question, RefusedError

GPU = PciDevice(address="0000:18:00.0", id="10de:2330")
LIBRARY = ["2.30.7-1+cuda13.0", "2.30.7-1+cuda12.9", "2.30.4-1+cuda13.0", "2.27.5-1+cuda12.9"]
IB = {"kind": "infiniband", "interface": "ib0", "hcas": ["mlx5_0", "mlx5_3:1"], "address": "10.1.0.11"}


def host(loaded="580.178.04", packages=None, **fields):
    ready = {
        "system": System(distribution="ubuntu", version="24.04"),
        "package_manager": "apt",
        "gpus": (GPU,),
        "driver": Driver(loaded=loaded),
        "packages": {name: Package(version=v, held=True) for name, v in (packages or {}).items()},
    }
    return Host(**{**ready, **fields})


def plan(on=None, offers=None, context=None, **settings):
    known = {"libnccl2": LIBRARY, "nccl-tests": [], **(offers or {})}
    found = Offers({"nvidia-ubuntu-24.04": known})
    return nccl.plan(Question(on or host(), Nccl(**settings), found, context or {}))


def test_the_variables_are_those_of_ranks_on_the_same_fabric():
    assert plan(context={"fabric": IB}).values["environment"] == {
        "NCCL_IB_HCA": "=mlx5_0:1,mlx5_3:1",
        "NCCL_SOCKET_IFNAME": "=ib0",
    }


def test_ethernet_has_no_rdma():
    values = plan(context={"fabric": {"kind": "ethernet", "interface": "eth1"}}).values
    assert values["environment"] == {"NCCL_IB_DISABLE": "1", "NCCL_SOCKET_IFNAME": "=eth1"}


def test_every_variable_of_the_table_can_be_filled():
    full = {**IB, "address": "fd00::11"}
    names = {row.name for row in network() if row.name.startswith("NCCL_") and row.value is not None}
    filled = set(nccl.environment(full, False)) | set(nccl.environment({**full, "kind": "ethernet"}, False))
    assert filled == names


def test_without_a_fabric_nccl_decides():
    assert plan().values["environment"] == {}
    assert plan().values["files"] == []


def test_a_topology_is_copied_and_named():
    values = plan(topology="/srv/topo.xml").values
    assert values["files"][1] == {"path": nccl.TOPOLOGY, "source": "/srv/topo.xml"}
    assert values["environment"] == {"NCCL_TOPO_FILE": nccl.TOPOLOGY}


@pytest.mark.parametrize(
    ("loaded", "version"),
    [("580.178.04", "2.30.7-1+cuda13.0"), ("570.211.01", "2.30.7-1+cuda12.9"), ("", "2.30.7-1+cuda13.0")],
)
def test_the_library_is_built_for_a_cuda_that_the_driver_runs(loaded, version):
    assert plan(host(loaded), library=True).values["versions"] == {"libnccl2": version}


def test_a_version_without_a_build_for_the_driver_is_refused():
    with pytest.raises(RefusedError, match=r"runs CUDA 12 at most\. .*2\.30\.7-1\+cuda12\.9"):
        plan(host("570.211.01"), library=True, version="2.30.4")


def test_a_version_that_is_not_offered_is_refused_with_those_that_are():
    with pytest.raises(RefusedError, match=r"does not offer libnccl2 2\.99\.1; it offers 2\.30\.7"):
        plan(library=True, version="2.99.1")


def test_what_is_installed_stays_and_nobody_is_asked():
    there = host(packages={"libnccl2": "2.30.4-1+cuda13.0"})
    result = nccl.plan(Question(there, Nccl(library=True)))
    assert result.values["versions"] == {"libnccl2": "2.30.4-1+cuda13.0"}
    assert result.will == ()


def test_a_library_for_another_cuda_than_the_drivers_is_replaced():
    there = host("570.211.01", {"libnccl2": "2.30.7-1+cuda13.0"})
    assert plan(there, library=True).will == ("change libnccl2 from 2.30.7-1+cuda13.0 to 2.30.7-1+cuda12.9",)


def test_a_driver_also_runs_what_is_built_for_an_earlier_cuda():
    there = host("580.178.04", {"libnccl2": "2.27.5-1+cuda12.9"})
    assert plan(there, library=True).will == ()
    assert plan(library=True, version="2.27.5").values["version"] == "2.27.5"


def test_debians_own_library_is_kept_by_the_hold_and_said():
    debian = host(packages={"libnccl2": "2.22.3-1-1"}, system=System(distribution="debian", version="13"))
    result = nccl.plan(Question(debian, Nccl(library=True)))
    assert result.values["versions"] == {"libnccl2": "2.22.3-1-1"}
    assert "the distribution's own" in result.notes[0]


def test_rocky_calls_the_library_otherwise():
    rocky = host(system=System(distribution="rocky", version="9.6"), package_manager="dnf")
    with pytest.raises(AskError) as asked:
        nccl.plan(Question(rocky, Nccl(library=True)))
    assert asked.value.names == ("libnccl",)


def test_the_test_is_refused_where_nobody_has_a_package_of_it():
    with pytest.raises(RefusedError, match=r"no package nccl-tests: NVIDIA publishes only its source"):
        plan(tests=True)


def test_the_test_comes_from_a_mirror_that_has_it():
    assert plan(offers={"nccl-tests": ["2.17.1-1"]}, tests=True).values["versions"] == {
        "nccl-tests": "2.17.1-1"
    }


def test_the_lock_holds_the_version():
    context = {"locked": {"nccl": {"version": "2.30.4"}}}
    assert plan(library=True, context=context).values["version"] == "2.30.4"


def test_a_node_without_gpus_has_nothing_of_it():
    assert plan(host(gpus=()), library=True).values == {"steps": "nothing"}


def test_what_nccl_is_told_on_the_node_is_a_change_until_it_is():
    variables = plan(context={"fabric": IB}).values["environment"]
    (will,) = plan(context={"fabric": IB}).will
    assert will.startswith("tell NCCL on the node of its fabric (NCCL_IB_HCA==mlx5_0:1,mlx5_3:1, ")
    assert plan(host(nccl=variables), context={"fabric": IB}).will == ()
    assert plan(host(nccl={**variables, "NCCL_DEBUG": "INFO"}), context={"fabric": IB}).will != ()
    # Somebody else's, and nothing to say.
    assert plan(host(nccl={"NCCL_DEBUG": "INFO"})).will == ()
