"""What RDMA on a node consists of, and which stacks do not go together."""

import pytest

from nimctl.description.document import Rdma
from nimctl.stack.host import Host, IbPort, Interface, Package, System, Tuning
from nimctl.stack.layers import rdma
from nimctl.stack.plan import AskError, Offers, Question, RefusedError

UBUNTU = System(distribution="ubuntu", version="24.04", kernel="6.8.0-85-generic")
ROCKY = System(distribution="rocky", version="9.6")
DEBIAN = System(distribution="debian", version="13")
KEY = "0" * 39 + "1"
DOCA = {"mirrors": {"doca": {"url": "http://mirror/doca", "key": KEY}}}
OFFERS = Offers({"doca-ubuntu-24.04": {"doca-ofed": ["3.2.3-019000"]}})
INBOX = ("rdma-core", "ibverbs-providers", "ibverbs-utils", "rdmacm-utils", "infiniband-diags", "perftest")


def host(system=UBUNTU, **fields):
    ready = {"package_manager": "dnf" if system is ROCKY else "apt", "tuning": Tuning(memlock="infinity")}
    return Host(system=system, **{**ready, **fields})


def packages(**versions):
    return {name.replace("_", "-"): Package(version=version) for name, version in versions.items()}


def plan(on=None, context=None, offers=OFFERS, **settings):
    return rdma.plan(Question(on or host(), Rdma(**settings), offers, context or {}))


def test_the_distributions_packages_by_their_names_there():
    assert plan(host(DEBIAN)).values["names"] == list(INBOX)
    assert "libibverbs-utils" in plan(host(ROCKY)).values["names"]


def test_only_what_is_missing_is_said_to_change():
    there = {name: Package(version="56.1-1") for name in INBOX if name != "perftest"}
    result = plan(host(packages=there, modules=("ib_uverbs",)))
    assert result.will == ("install perftest", "load rdma_ucm")
    assert (result.cost, result.pending) == ("none", ())


def test_a_module_that_is_part_of_the_kernel_is_not_to_be_loaded():
    there = {name: Package(version="56.1-1") for name in INBOX}
    assert plan(host(packages=there, modules=("rdma_ucm",), builtin_modules=("ib_uverbs",))).will == ()


def test_modules_follow_the_fabric_and_nvlink():
    assert plan().values["load"] == ["ib_uverbs", "rdma_ucm"]
    fabric = {"fabric": {"kind": "infiniband", "interface": "ib0"}}
    assert plan(context=fabric).values["load"] == ["ib_uverbs", "rdma_ucm", "ib_umad", "ib_ipoib"]
    nvlink = host(infiniband=(IbPort(device="mlx5_0", nvlink_manager=True),))
    assert plan(nvlink).values["load"] == ["ib_uverbs", "rdma_ucm", "ib_umad"]


def test_a_container_loads_no_module():
    there = {name: Package(version="56.1-1") for name in INBOX}
    assert plan(host(System(container="podman"), packages=there)).will == ()


def test_doca_is_asked_for_at_its_version_and_loaded_at_the_next_boot():
    with pytest.raises(AskError):
        plan(context=DOCA, offers=Offers(), source="doca")
    result = plan(context=DOCA, source="doca")
    assert result.values["versions"] == {"doca-ofed": "3.2.3-019000"}
    assert result.values["repositories"][0]["url"].startswith("http://mirror/doca/3.2.3/ubuntu24.04/")
    assert result.values["load_now"] is False
    assert result.cost == "reboot"
    assert "next boot" in result.pending[0]


def test_doca_that_is_there_waits_for_nothing():
    there = {"doca-ofed": Package(version="3.2.3-019000", held=True)}
    result = plan(host(packages=there), DOCA, Offers(), source="doca")
    assert (result.cost, result.pending, result.values["load_now"]) == ("none", (), True)


def test_docas_dkms_never_wins_and_its_mft_does():
    (file,) = plan(context=DOCA, source="doca").values["files"]
    assert "Package: dkms\nPin: origin mirror\nPin-Priority: -1" in file["content"]
    assert "Package: mft mft-* kernel-mft-dkms\nPin: origin mirror\nPin-Priority: 900" in file["content"]


def test_a_mirror_of_everything_on_one_host_gets_no_preference_by_host():
    both = {"mirrors": {**DOCA["mirrors"], "nvidia": {"url": "http://mirror/cuda"}}}
    assert plan(context=both, source="doca").values["files"] == []


@pytest.mark.parametrize(
    ("found", "settings", "said"),
    [
        (packages(mlnx_ofed_all="24.10", ofed_scripts="24.10"), {}, "ofed_uninstall.sh"),
        (packages(mlnx_ofed_all="24.10"), {"source": "doca"}, "MLNX_OFED is installed"),
        (packages(doca_ofed="3.2.3-019000"), {}, "stack.rdma.source is inbox"),
        (packages(doca_ofed="2.5.0-1"), {"source": "doca"}, "only 2.6.0 and newer"),
        ({}, {"soft": "eth9"}, "no such interface; it has eth1"),
    ],
)
def test_what_does_not_go_together_is_refused(found, settings, said):
    on = host(packages=found, interfaces=(Interface(name="eth1"),))
    with pytest.raises(RefusedError, match=said):
        plan(on, DOCA, **settings)


def test_doca_is_refused_where_it_is_not_published():
    with pytest.raises(RefusedError, match="debian-13"):
        plan(host(DEBIAN), DOCA, source="doca")


def test_a_doca_that_the_repository_does_not_have_is_refused_with_what_it_has():
    with pytest.raises(RefusedError, match=r"3\.2\.3-019000"):
        plan(
            context=DOCA,
            offers=Offers({"doca-ubuntu-24.04": {"doca-ofed": ["3.2.3-019000"]}}),
            source="doca",
            version="3.1.0",
        )


def test_soft_roce_is_a_module_and_a_unit_and_checks_no_hca():
    fabric = {"fabric": {"kind": "roce", "rate": "1g", "hcas": ["mlx5_0"]}}
    result = plan(host(interfaces=(Interface(name="eth1"),)), fabric, soft="eth1")
    assert result.values["load"][-1] == "rdma_rxe"
    assert "iproute2" in result.values["names"]
    assert "linux-modules-extra-6.8.0-85-generic" in result.values["names"]
    assert result.values["units"][0]["name"] == rdma.SOFT
    assert result.values["problems"] == []


def test_problems_of_ports_name_the_node():
    context = {"fabric": {"kind": "infiniband", "rate": "ndr", "hcas": ["mlx5_0"]}, "node": "gpu07"}
    assert plan(context=context).values["problems"][0].startswith("gpu07: there is no HCA mlx5_0")


def test_little_memory_to_lock_is_noted():
    assert "stack.tuning" in plan(host(tuning=Tuning())).notes[0]


def test_a_layer_that_is_ignored_decides_nothing():
    assert plan(mode="ignore").values == {"steps": "ignore"}
