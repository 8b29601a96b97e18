"""Whatever a layer plans for RHEL 9 and 10, dnf can do it: plans are brought to an empty root as they are."""

from __future__ import annotations

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.repository import Repository, offers

from nimctl.errors import RefusedError
from nimctl.stack.planning import ask_until_planned

DRIVER = "580.178.04"
KERNELS = {9: "5.14.0-570.12.1.el9_6.x86_64", 10: "6.12.0-124.8.1.el10_1.x86_64"}
LAYERS = {
    "driver": {"version": DRIVER},
    "fabric_manager": {},
    "container_toolkit": {"version": "1.20.0"},
    "gpu_direct": {"storage": True},
    "nccl": {"library": True},
}
EXPECTED = {
    "driver": {"nvidia-driver-cuda", "kmod-nvidia-open-dkms"},
    "fabric_manager": {"nvidia-fabricmanager", "libnvidia-nscq"},
    "container_toolkit": {"nvidia-container-toolkit-base"},
    "gpu_direct": {"nvidia-fs", "nvidia-fs-dkms"},
    "nccl": {"libnccl"},
}


def probed(release, **more):
    """An HGX machine with H100 GPUs and NVSwitches, Rocky 9 or RHEL 10, podman of the distribution."""
    rhel = {"distribution": "rocky" if release == 9 else "rhel", "version": "9.6" if release == 9 else "10.1"}
    return {
        "system": {**rhel, "kernel": KERNELS[release], "headers": True, "secure_boot": False},
        "package_manager": "dnf",
        "gpus": [{"address": f"0000:{bus}:00.0", "id": "10de:2330"} for bus in ("18", "2a")],
        "nvswitches": [{"address": "0000:87:00.0", "id": "10de:22a3"}],
        "infiniband": [{"device": "mlx5_0", "link_layer": "InfiniBand", "state": "ACTIVE", "netdev": "ib0"}],
        "packages": {"podman": {"version": "6:5.4.0-9.el9_6"}},
        **more,
    }


def with_driver(release):
    loaded = {"loaded": DRIVER, "user_space": DRIVER, "flavour": "open"}
    return probed(release, driver=loaded)


@pytest.fixture
def plan(node, published):
    """``plan(layer, host)`` with the repositories of this test in the place of NVIDIA's."""

    def asked(repository, names):
        given = {name: getattr(repository, name) for name in Repository.__dataclass_fields__}
        return offers(node.dnf, Repository(**given), names)[1]

    def planned(layer, host):
        context = {"mirrors": published.mirrors()}
        return ask_until_planned(layer, host, LAYERS[layer], context, asked)

    return planned


@pytest.mark.parametrize("layer", LAYERS)
def test_dnf_can_do_what_a_layer_plans(layer, node, plan):
    host = probed(node.release) if layer == "driver" else with_driver(node.release)
    versions = plan(layer, host).values["versions"]
    assert set(versions) >= EXPECTED[layer]
    node.bring(versions)
    assert node.has(*versions) == versions


@pytest.mark.parametrize("layer", ["container_toolkit", "gpu_direct", "nccl"])
def test_what_was_done_is_not_done_again(layer, node, plan):
    versions = plan(layer, with_driver(node.release)).values["versions"]
    node.bring(versions)
    there = {name: {"version": version, "held": True} for name, version in node.has(*versions).items()}
    host = with_driver(node.release)
    host["packages"] = {**host["packages"], **there}
    host["modules"] = ["nvidia_fs"]
    host["cdi"] = [{"path": "/var/run/cdi/nvidia.yaml", "kind": "nvidia.com/gpu", "version": "0.7.0"}]
    assert plan(layer, host).will == ()


def test_a_key_that_nobody_has_read_is_refused_with_what_to_do():
    """RHEL 10's is one: its fingerprint is in no source that we trust."""
    with pytest.raises(RefusedError, match=r"stack\.mirrors\.nvidia\.key"):
        ask_until_planned("nccl", with_driver(10), LAYERS["nccl"], {}, lambda *_: {})
