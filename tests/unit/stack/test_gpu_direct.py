"""By which way HCAs and storage reach GPU memory, on which host."""

import pytest

from nimctl.description.document import GpuDirect
from nimctl.stack.host import Driver, Host, IbPort, Interface, KernelModule, Package, PciDevice, System
from nimctl.stack.layers import gpu_direct
from nimctl.stack.plan import AskError, LayerPlan, Offers, Question, RefusedError

HOPPER = PciDevice(address="0000:18:00.0", id="10de:2330")
VOLTA = PciDevice(address="0000:18:00.0", id="10de:1db5")
PORT = IbPort(device="mlx5_0", link_layer="InfiniBand", state="ACTIVE", netdev="ib0")
UBUNTU = System(distribution="ubuntu", version="24.04", kernel="6.8.0-85-generic", headers=True)
DEBIAN = System(distribution="debian", version="12", kernel="6.1.0-41-amd64", headers=True)
OFFERS = Offers(
    {
        "nvidia-ubuntu-24.04": {
            "nvidia-fs": ["2.30.1-1", "2.29.4-1"],
            "nvidia-fs-dkms": ["2.30.1-1", "2.29.4-1"],
        }
    }
)


def host(**fields):
    ready = {
        "system": UBUNTU,
        "package_manager": "apt",
        "gpus": (HOPPER,),
        "driver": Driver(loaded="580.178.04", flavour="open"),
        "infiniband": (PORT,),
        "interfaces": (Interface(name="ib0", addresses=("10.1.0.11/24", "fe80::1/64")),),
    }
    return Host(**{**ready, **fields})


def plan(on=None, offers=OFFERS, context=None, plans=None, **settings):
    return gpu_direct.plan(Question(on or host(), GpuDirect(**settings), offers, context or {}, plans or {}))


def proprietary(**fields):
    return host(driver=Driver(loaded="580.178.04", flavour="proprietary"), **fields)


def test_dma_buf_comes_first_and_needs_nothing():
    result = plan()
    assert result.values["method"] == "dma-buf"
    assert result.values["load"] == []
    assert (result.will, result.cost, result.pending) == ((), "none", ())


def test_proprietary_modules_need_peermem_at_the_next_boot():
    result = plan(proprietary())
    assert result.values["load"] == ["nvidia_peermem"]
    assert result.cost == "reboot"
    assert "never loaded beside ranks" in result.pending[0]


def test_a_peermem_that_is_loaded_waits_for_nothing():
    result = plan(proprietary(modules=("nvidia_peermem",)))
    assert (result.values["load"], result.cost, result.pending) == (["nvidia_peermem"], "none", ())


def test_an_old_kernel_needs_peermem():
    old = UBUNTU.model_copy(update={"kernel": "5.4.0-200-generic"})
    assert plan(host(system=old)).values["method"] == "peermem"


def test_what_the_driver_will_be_counts_before_what_it_is():
    planned = {"driver": LayerPlan("driver", {"modules": "open"})}
    assert plan(proprietary(), plans=planned).values["method"] == "dma-buf"


def test_without_a_driver_the_generation_decides():
    assert plan(host(driver=Driver())).values["method"] == "dma-buf"
    assert plan(host(driver=Driver(), gpus=(VOLTA,))).values["method"] == "peermem"


def test_dma_buf_that_cannot_be_is_refused_with_the_reason():
    with pytest.raises(RefusedError, match="the kernel modules are proprietary"):
        plan(proprietary(), method="dma-buf")


def test_peermem_needs_an_rdma_stack_with_its_interface():
    with pytest.raises(RefusedError, match="no peer memory interface"):
        plan(proprietary(system=DEBIAN), method="peermem")
    ofed = {"doca-ofed": Package(version="3.2.3")}
    assert plan(proprietary(system=DEBIAN, packages=ofed), method="peermem").values["method"] == "peermem"


def test_a_driver_without_the_module_is_refused():
    installed = (KernelModule(name="nvidia", flavour="proprietary"),)
    driver = Driver(loaded="580.178.04", flavour="proprietary", installed=installed)
    with pytest.raises(RefusedError, match="has no module nvidia_peermem"):
        plan(host(driver=driver), method="peermem")


def test_a_host_that_can_do_neither_is_told_what_that_costs():
    result = plan(proprietary(system=DEBIAN))
    assert result.values["method"] == "none"
    assert "through host memory" in result.notes[0]


def test_without_rdma_there_is_nothing_to_do():
    result = plan(host(infiniband=()), method="peermem")
    assert result.values["load"] == []
    assert "no RDMA device" in result.notes[0]


def test_a_node_without_gpus_has_nothing_of_it():
    assert plan(host(gpus=())).values == {"steps": "nothing"}


def test_storage_brings_its_module_and_the_addresses_of_rdma():
    result = plan(storage=True)
    assert result.values["versions"] == {"nvidia-fs": "2.30.1-1", "nvidia-fs-dkms": "2.30.1-1"}
    assert result.values["cufile"] == {"properties": {"rdma_dev_addr_list": ["10.1.0.11"]}}
    assert result.values["load"] == ["nvidia_fs"]
    assert result.cost == "reboot"


def test_only_the_hcas_of_the_fabric_count():
    assert plan(storage=True, context={"hcas": ["mlx5_3:1"]}).values["cufile"] == {}


def test_the_description_wins_over_what_was_found():
    given = {"properties": {"rdma_dev_addr_list": ["10.9.9.9"], "allow_compat_mode": False}}
    assert plan(storage=True, cufile=given).values["cufile"] == given


def test_storage_asks_the_repository_first():
    with pytest.raises(AskError):
        plan(offers=Offers(), storage=True)


def test_storage_stays_at_the_version_that_is_there():
    packages = {name: Package(version="2.29.4-1", held=True) for name in gpu_direct.STORAGE_PACKAGES}
    result = plan(host(packages=packages, modules=("nvidia_fs",)), offers=Offers(), storage=True)
    assert result.will == ()
    assert result.values["version"] == "2.29.4"


def test_the_lock_holds_its_version():
    context = {"locked": {"gpu_direct": {"version": "2.29.4"}}}
    assert plan(storage=True, context=context).values["versions"]["nvidia-fs"] == "2.29.4-1"


def test_storage_with_proprietary_modules_is_refused():
    with pytest.raises(
        RefusedError, match=r"needs the open kernel modules .* stack\.driver\.modules to open"
    ):
        plan(proprietary(), storage=True)


def test_storage_with_secure_boot_is_refused():
    with pytest.raises(RefusedError, match="not supported with Secure Boot"):
        plan(host(system=UBUNTU.model_copy(update={"secure_boot": True})), storage=True)


def test_storage_that_the_repository_has_not_is_refused():
    empty = Offers({"nvidia-ubuntu-24.04": {"nvidia-fs": [], "nvidia-fs-dkms": []}})
    with pytest.raises(RefusedError, match="has no package nvidia-fs"):
        plan(offers=empty, storage=True)


def test_headers_that_are_missing_come_along():
    bare = UBUNTU.model_copy(update={"headers": False})
    assert plan(host(system=bare), storage=True).values["names"] == ["linux-headers-6.8.0-85-generic"]
