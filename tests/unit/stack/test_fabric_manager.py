"""What joins the GPUs of a host by NVSwitch, in step with its driver."""

import pytest

from nimctl.description.document import FabricManager as Settings
from nimctl.stack.host import Driver, Host, IbPort, Package, PciDevice, System
from nimctl.stack.layers import fabric_manager
from nimctl.stack.plan import LayerPlan, Offers, Question, RefusedError

H100 = PciDevice(address="0000:18:00.0", id="10de:2330")
GB200 = PciDevice(address="0008:01:00.0", id="10de:2941")
SWITCH = PciDevice(address="0000:07:00.0", id="10de:22a3")
UBUNTU = "nvidia-ubuntu-24.04"


class Every(dict):
    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        return ["610.57.04-1", "580.178.04-1", "570.211.01-1"]


def host(version="580.178.04", packages=None, **more):
    fields = {
        "system": System(distribution="ubuntu", version="24.04", kernel="6.8.0-85-generic"),
        "package_manager": "apt",
        "gpus": (H100,),
        "nvswitches": (SWITCH,),
        "driver": Driver(loaded=version, user_space=version, flavour="open"),
        "packages": {name: Package(version=v, held=True) for name, v in (packages or {}).items()},
        **more,
    }
    return Host(**fields)


def plan(on=None, plans=None, **settings):
    return fabric_manager.plan(
        Question(on or host(), Settings(**settings), Offers({UBUNTU: Every()}), {}, plans or {})
    )


@pytest.mark.parametrize(
    ("version", "names"),
    [
        ("570.211.01", ("nvidia-fabricmanager-570", "libnvidia-nscq-570")),
        ("580.178.04", ("nvidia-fabricmanager", "libnvidia-nscq")),
    ],
)
def test_it_has_the_drivers_version_and_the_branchs_names(version, names):
    result = plan(host(version))
    assert result.values["versions"] == dict.fromkeys(names, f"{version}-1")
    assert result.values["hold"] == list(names)


def test_the_version_of_a_driver_that_is_being_switched_is_taken():
    before = LayerPlan("driver", {"steps": "switch", "version": "610.57.04", "source": "nvidia"})
    assert plan(plans={"driver": before}).values["version"] == "610.57.04"
    waits = LayerPlan("driver", {"steps": "wait", "version": "610.57.04", "source": "nvidia"})
    assert plan(plans={"driver": waits}).values["version"] == "580.178.04"


def test_nvlink_5_brings_the_subnet_manager_and_its_modules():
    port = IbPort(device="mlx5_0", nvlink_manager=True)
    result = plan(host(nvswitches=(), infiniband=(port,)))
    assert set(result.values["versions"]) == {"nvidia-fabricmanager", "libnvsdm"}
    assert result.values["names"] == ["nvlsm", "infiniband-diags", "libibumad3"]
    assert result.values["load"] == ["mlx5_core", "ib_umad"]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"driver": Driver(loaded="550.163.01", user_space="550.163.01")}, "need driver branch 570 or newer"),
        (
            {"driver": Driver(loaded="580.1.1", user_space="580.1.1", flavour="proprietary")},
            "need open kernel modules",
        ),
        ({"system": System(distribution="ubuntu", version="24.04", kernel="5.15.0-1")}, "5.17 or newer"),
    ],
)
def test_nvlink_5_is_refused_where_it_cannot_work(more, reason):
    port = IbPort(device="mlx5_0", nvlink_manager=True)
    with pytest.raises(RefusedError, match=reason):
        plan(host(nvswitches=(), infiniband=(port,), **more))


def test_a_rack_gets_imex_and_no_fabric_manager():
    result = plan(host(gpus=(GB200,), nvswitches=()))
    assert list(result.values["versions"]) == ["nvidia-imex"]
    assert [unit["name"] for unit in result.values["units"]] == ["nvidia-imex.service"]
    assert result.values["options"] == {"nvidia": {"NVreg_CreateImexChannel0": 1}}
    assert plan(host(gpus=(GB200,), nvswitches=()), imex="never").values == {"steps": "nothing"}


def test_without_switches_there_is_nothing_to_do_and_always_is_refused():
    bare = host(nvswitches=())
    assert plan(bare).values == {"steps": "nothing"}
    with pytest.raises(RefusedError, match="has no NVSwitch"):
        plan(bare, install="always")


def test_without_a_driver_it_is_refused():
    with pytest.raises(RefusedError, match="has no NVIDIA driver"):
        plan(host(driver=Driver()))


def test_services_are_left_alone_beside_a_driver_that_they_do_not_fit():
    half = host(driver=Driver(loaded="570.211.01", user_space="580.178.04", flavour="open"))
    result = plan(half)
    assert result.values["units"][0]["state"] == "kept"
    assert result.values["units"][0]["restart_on"] == []
    assert "in place of 570.211.01" in result.pending[0]


def test_the_distributions_fabric_manager_goes_with_its_driver():
    own = host("580.173.02", {"nvidia-dkms-580-server-open": "580.173.02-0ubuntu1"})
    known = {
        "distribution": {
            name: ["580.173.02-0ubuntu1"] for name in ("nvidia-fabricmanager-580", "libnvidia-nscq-580")
        }
    }
    result = fabric_manager.plan(Question(own, Settings(), Offers(known)))
    assert set(result.values["versions"]) == {"nvidia-fabricmanager-580", "libnvidia-nscq-580"}


def test_verify_says_what_differs():
    there = {"nvidia-fabricmanager": "580.126.20-1"}
    assert plan(host("580.126.20", there), mode="verify").will == ()
    assert plan(host("580.178.04", there), mode="verify").will == (
        "nvidia-fabricmanager is 580.126.20, and the loaded driver is 580.178.04",
    )
    assert plan(host(), mode="verify").will == ("Fabric Manager is not installed",)
