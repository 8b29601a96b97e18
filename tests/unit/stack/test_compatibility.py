"""What does not fit across the layers of a host is said in one sentence, with reason, source and remedy."""

from __future__ import annotations

import pytest

from nimctl.stack import versions
from nimctl.stack.compatibility import conflicts
from nimctl.stack.host import Host
from nimctl.stack.plan import LayerPlan
from nimctl.stack.planning import SETTINGS

known = versions.load()
UBUNTU = {"distribution": "ubuntu", "version": "24.04", "kernel": "6.8.0-60-generic"}
HGX = {
    "system": UBUNTU,
    "gpus": [{"address": "a", "id": "10de:2330"}],
    "nvswitches": [{"address": "b", "id": "10de:22a3"}],
}
B200 = {"system": UBUNTU, "gpus": [{"address": "a", "id": "10de:2901"}]}


def found(host: dict, plans: dict | None = None, **settings: dict) -> list[str]:
    wishes = {layer: SETTINGS[layer].model_validate(given) for layer, given in settings.items()}
    made = {layer: LayerPlan(layer, values) for layer, values in (plans or {}).items()}
    return [str(conflict) for conflict in conflicts(Host.model_validate(host), wishes, made, known)]


def with_system(host: dict, **system: object) -> dict:
    return {**host, "system": {**host["system"], **system}}


def test_what_fits_is_not_mentioned():
    plans = {
        "driver": {"version": "580.178.04"},
        "fabric_manager": {"version": "580.178.04"},
        "container_toolkit": {"version": "1.20.0"},
    }
    everything = {
        "driver": {},
        "fabric_manager": {},
        "container_toolkit": {},
        "gpu_direct": {"storage": True},
    }
    packages = {"docker-ce": {"version": "5:29.1.3-1~ubuntu.24.04~noble"}}
    assert found({**HGX, "packages": packages}, plans, **everything) == []
    assert found({**B200, "packages": packages}, plans, **everything) == []


def test_a_branch_that_does_not_serve_the_gpus():
    v100 = {**HGX, "gpus": [{"address": "a", "id": "10de:1db5"}], "nvswitches": []}
    (said,) = found(v100, {"driver": {"version": "595.91.07"}}, driver={})
    assert said.startswith(
        "driver: the node's GPUs are of volta and driver 595.91.07 is wanted, but branch 595"
    )
    assert "580 is the last that does" in said
    assert said.endswith("Set stack.driver.branch to 580, and stack.driver.modules to auto.")
    (said,) = found(v100, {"driver": {"version": "580.178.04"}}, driver={"modules": "open"})
    assert "open kernel modules of branch 580 do not work with GPUs of the generation volta" in said


@pytest.mark.parametrize(
    ("host", "plans", "settings"),
    [
        (
            HGX,
            {"driver": {"version": "580.178.04"}, "fabric_manager": {"version": "580.126.20"}},
            {"driver": {}, "fabric_manager": {}},
        ),
        (
            {**HGX, "packages": {"nvidia-fabricmanager": {"version": "580.126.20-1"}}},
            {"driver": {"version": "580.178.04"}},
            {"driver": {}, "fabric_manager": {"mode": "verify"}},
        ),
        (
            {**HGX, "driver": {"loaded": "580.178.04", "flavour": "open"}},
            {"fabric_manager": {"version": "580.126.20"}},
            {"driver": {"mode": "ignore"}, "fabric_manager": {}},
        ),
    ],
)
def test_fabric_manager_is_the_driver_whoever_looks_after_them(host, plans, settings):
    (said,) = found(host, plans, **settings)
    assert said.startswith(
        "fabric_manager: Fabric Manager is 580.126.20 and the driver 580.178.04, but Fabric"
    )
    assert "stack.driver.version" in said


def test_revisions_of_packages_are_no_difference():
    host = {**HGX, "packages": {"nvidia-fabricmanager": {"version": "580.126.20-1"}}}
    assert found(host, {"driver": {"version": "580.126.20-0ubuntu1"}}, driver={}) == []


def test_no_switch_no_fabric_manager():
    host = {**HGX, "nvswitches": [], "packages": {"nvidia-fabricmanager-575": {"version": "575.57.08-1"}}}
    assert found(host, {"driver": {"version": "580.178.04"}}, driver={}) == []


def test_nvlink_5_needs_open_modules_a_branch_and_a_kernel():
    loaded = {**B200, "driver": {"loaded": "570.211.01", "flavour": "proprietary"}}
    (said,) = found(loaded, driver={"mode": "verify"})
    assert "with proprietary modules, but boards with NVLink 5 work only with open kernel modules" in said
    old = with_system(B200, version="22.04", kernel="5.15.0-100-generic")
    (said,) = found(old, {"driver": {"version": "580.178.04"}}, driver={})
    assert "kernel 5.15.0-100-generic runs, but the NVLink subnet manager needs this kernel (5.17)" in said
    rhel = with_system(B200, distribution="rhel", version="9.6", kernel="5.14.0-570.el9.x86_64")
    assert found(rhel, {"driver": {"version": "580.178.04"}}, driver={}) == []


def test_an_engine_that_does_not_know_the_specification():
    old = {**HGX, "packages": {"docker.io": {"version": "20.10.24+dfsg1-1"}}}
    (said,) = found(old, {"container_toolkit": {"version": "1.20.0"}}, container_toolkit={})
    assert (
        "writes CDI 0.7.0, which docker reads from 26.1.0 on, and docker 20.10.24+dfsg1 is installed" in said
    )
    podman = {**HGX, "packages": {"podman": {"version": "4.3.1+ds1-8"}}}
    assert found(podman, {"container_toolkit": {"version": "1.20.0"}}, container_toolkit={})
    flags = {"container_toolkit": {"version": "1.20.0", "flags": ["no-additional-gids-for-device-nodes"]}}
    assert found(podman, flags, container_toolkit={}) == []


def test_gpu_direct_storage_needs_open_modules_and_no_secure_boot():
    loaded = {**HGX, "driver": {"loaded": "550.163.01", "flavour": "proprietary"}}
    (said,) = found(loaded, gpu_direct={"storage": True})
    assert "nvidia-fs from 2.17.5 on needs the open kernel modules" in said
    (said,) = found(with_system(HGX, secure_boot=True), gpu_direct={"storage": True})
    assert "not supported with Secure Boot" in said
    assert found(with_system(loaded, secure_boot=True), gpu_direct={}) == []


def test_dma_buf_needs_open_modules_and_a_kernel():
    loaded = {**HGX, "driver": {"loaded": "550.163.01", "flavour": "proprietary"}}
    (said,) = found(loaded, gpu_direct={"method": "dma-buf"})
    assert said.endswith("Set stack.gpu_direct.method to auto or peermem.")
    assert len(found(with_system(loaded, kernel="5.10.0-30-amd64"), gpu_direct={"method": "dma-buf"})) == 2


def test_doca_is_not_for_every_distribution():
    debian = with_system(HGX, distribution="debian", version="13")
    (said,) = found(debian, rdma={"source": "doca"})
    assert "DOCA-OFED is not known for debian-13" in said
    assert found(HGX, rdma={"source": "doca"}) == []


@pytest.mark.parametrize(
    ("system", "driver", "refused"),
    [
        ({}, {"build": "precompiled"}, True),
        ({}, {"build": "precompiled", "source": "distribution"}, False),
        (
            {"distribution": "debian", "version": "13"},
            {"build": "precompiled", "source": "distribution"},
            True,
        ),
        ({"distribution": "rocky", "version": "9.6"}, {"build": "precompiled"}, True),
        (
            {"distribution": "rocky", "version": "9.6"},
            {"build": "precompiled", "modules": "proprietary"},
            False,
        ),
        ({}, {"build": "dkms"}, False),
    ],
)
def test_prebuilt_modules_exist_only_here_and_there(system, driver, refused):
    said = found(with_system(HGX, **system), {"driver": {"version": "580.178.04"}}, driver=driver)
    assert bool(said) is refused
    if refused:
        assert said[0].endswith("Set stack.driver.build to dkms.")


def test_a_planner_that_refused_is_not_contradicted():
    assert found({**HGX, "driver": {"loaded": "535.1.1", "flavour": "open"}}, driver={}) == []
