"""What dnf does with NVIDIA's packages on RHEL 9 and 10: the side of our modules that no lab node can run.

dnf of Debian installs into an empty root. What is not to be had here is versionlock, which Debian has no
plugin of; holds on the RHEL family are tested on dnf's words alone.
"""

from __future__ import annotations

import shutil

import pytest
import rpm_build
import rpm_nvidia
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import Change, PackageError
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.repository import offers
from ansible_collections.nimctl.multinode.plugins.module_utils.packages.switch import difference

COMPUTE = (
    "nvidia-driver-cuda",
    "nvidia-driver-cuda-libs",
    "kmod-nvidia-open-dkms",
    "nvidia-kmod-common",
    "nvidia-modprobe",
    "nvidia-persistenced",
    "libnvidia-ml",
    "libnvidia-gpucomp",
)
TOOLKIT = (
    "nvidia-container-toolkit",
    "nvidia-container-toolkit-base",
    "libnvidia-container-tools",
    "libnvidia-container1",
)


def driver(version, release):
    """Every package of a driver at its version, as a planner would name them."""
    return dict.fromkeys(COMPUTE, f"3:{version}-1.el{release}")


def test_a_driver_comes_at_exactly_one_version_with_its_epoch(node):
    versions = driver(rpm_nvidia.OLDER, node.release)
    node.bring(versions)
    assert node.has(*COMPUTE) == versions
    assert node.has("dkms", "linux-firmware") == {"dkms": "3.2.2-1", "linux-firmware": "20260811-1"}
    # Settings and X are what only displays need.
    assert node.has("nvidia-driver", "nvidia-settings", "nvidia-open") == {}


def test_nothing_changes_the_second_time(node):
    versions = driver(rpm_nvidia.OLDER, node.release)
    node.bring(versions)
    assert difference(node.has(*COMPUTE), (), versions, ()).names() == []


def test_upgrade_to_another_branch_and_back(node):
    for version in (rpm_nvidia.OLDER, rpm_nvidia.NEXT, rpm_nvidia.NEWER):
        wanted = {**driver(version, node.release), "nvidia-fabricmanager": f"{version}-1"}
        node.bring(wanted)
        assert node.has(*wanted) == wanted


def test_open_modules_take_the_place_of_proprietary_ones_when_both_are_named(node):
    proprietary = driver(rpm_nvidia.NEWER, node.release)
    proprietary["kmod-nvidia-latest-dkms"] = proprietary.pop("kmod-nvidia-open-dkms")
    node.bring(proprietary)
    node.bring(driver(rpm_nvidia.NEWER, node.release), replaces=["kmod-nvidia-latest-dkms"])
    assert node.has("kmod-nvidia-latest-dkms") == {}
    assert "kmod-nvidia-open-dkms" in node.has("kmod-nvidia-open-dkms")


def test_what_nobody_named_is_not_removed(node):
    proprietary = driver(rpm_nvidia.NEWER, node.release)
    proprietary["kmod-nvidia-latest-dkms"] = proprietary.pop("kmod-nvidia-open-dkms")
    node.bring(proprietary)
    with pytest.raises(PackageError):
        node.bring(driver(rpm_nvidia.NEWER, node.release))
    assert node.has(*proprietary) == proprietary


def test_a_driver_is_never_half_of_one_version_and_half_of_another(node):
    node.bring(driver(rpm_nvidia.OLDER, node.release))
    node.bring({"nvidia-driver-cuda": f"3:{rpm_nvidia.NEWER}-1.el{node.release}"})
    exact = [name for name in COMPUTE if name != "nvidia-modprobe"]
    assert node.has(*exact) == {name: driver(rpm_nvidia.NEWER, node.release)[name] for name in exact}
    with pytest.raises(PackageError, match="which nobody asked for"):
        node.bring({"nvidia-driver-cuda": f"3:{rpm_nvidia.OLDER}-1.el{node.release}"})


def test_fabric_manager_of_580_replaces_that_of_570_under_its_new_name(node):
    node.bring({"nvidia-fabric-manager": "570.211.01-1"})
    node.bring({"nvidia-fabricmanager": f"{rpm_nvidia.NEWER}-1"}, replaces=["nvidia-fabric-manager"])
    assert node.has("nvidia-fabric-manager", "nvidia-fabricmanager") == {
        "nvidia-fabricmanager": f"{rpm_nvidia.NEWER}-1"
    }


def test_the_container_toolkit_moves_as_a_whole(node):
    for version in ("1.18.2", "1.20.0", "1.19.1"):
        wanted = dict.fromkeys(TOOLKIT, f"{version}-1")
        node.bring(wanted)
        assert node.has(*TOOLKIT) == wanted


def test_the_base_of_the_toolkit_comes_alone(node):
    node.bring({"nvidia-container-toolkit-base": "1.20.0-1"})
    assert node.has(*TOOLKIT) == {"nvidia-container-toolkit-base": "1.20.0-1"}


def test_a_version_that_nobody_offers_is_refused_with_those_that_are(node):
    with pytest.raises(
        PackageError, match=r"nvidia-fabricmanager 620\.1-1 \(offered: 610\.57\.04-1, 580\.178"
    ):
        node.bring({"nvidia-fabricmanager": "620.1-1"})


def test_our_packages_go_and_those_of_others_stay(node):
    node.bring({"nvidia-container-toolkit-base": "1.20.0-1", "rdma-core": "57.0-1"})
    node.dnf.remove(["nvidia-container-toolkit-base"])
    assert node.has("nvidia-container-toolkit-base", "rdma-core") == {"rdma-core": "57.0-1"}


def test_a_repository_is_asked_without_being_set_up(node, published):
    name = f"cuda/rhel{node.release}/x86_64"
    node.source(name).unlink()
    _, found = offers(node.dnf, published.repository(name), ["nvidia-fabricmanager", "libnccl", "nothing"])
    assert found["nvidia-fabricmanager"] == [f"{v}-1" for v in ("610.57.04", "580.178.04", "580.126.20")]
    assert found["libnccl"][0] == "2.30.7-1+cuda13.0"
    assert found["nothing"] == []
    assert not node.source(name).exists()


def test_a_key_with_another_fingerprint_is_refused(rhel9, published):
    with pytest.raises(NodeError, match="expected AAAA"):
        offers(rhel9.dnf, published.repository("base", fingerprint="A" * 40), ["libnccl"])


def test_a_repository_that_is_not_there_is_refused(rhel9, published):
    gone = published.repository(
        "base", url=f"{published.address}/gone/", key_url=f"{published.address}/base/key.asc"
    )
    with pytest.raises(NodeError, match="there is no repository, or it cannot be reached"):
        offers(rhel9.dnf, gone, ["libnccl"])


def test_packages_of_another_key_are_refused(tmp_path, rhel9, published):
    other = rpm_build.make_key(tmp_path / "other")
    forged = published.folder / "forged"
    rpm_build.publish(forged, [rpm_build.Rpm("forged", "1")], other)
    try:
        rhel9.knows("forged")
        with pytest.raises(PackageError, match=r"not signed|not installed|Public key|NOKEY|GPG"):
            rhel9.dnf.apply(Change(install={"forged": "1-1"}, remove=()))
    finally:
        shutil.rmtree(forged)
    assert rhel9.has("forged") == {}


def test_modules_hide_no_exact_version_on_rhel_9(rhel9, published):
    """Without module_hotfixes dnf shows the default stream only, and refuses to go to another one."""
    path = rhel9.source("cuda/rhel9/x86_64")
    path.write_text(path.read_text().replace("module_hotfixes=1", "module_hotfixes=0"))
    rhel9.dnf.dnf("module", "enable", "nvidia-driver:580-open")
    assert "kmod-nvidia-latest-dkms" not in rhel9.dnf.offered(["kmod-nvidia-latest-dkms"])
    assert all(v.startswith("3:580") for v in rhel9.dnf.offered(["nvidia-driver-cuda"])["nvidia-driver-cuda"])
    rhel9.knows("cuda/rhel9/x86_64")
    rhel9.bring(driver(rpm_nvidia.NEXT, 9))
    assert rhel9.has("nvidia-driver-cuda")["nvidia-driver-cuda"].startswith("3:610")


def test_a_site_that_uses_streams_can_switch_them(rhel9):
    path = rhel9.source("cuda/rhel9/x86_64")
    path.write_text(path.read_text().replace("module_hotfixes=1", "module_hotfixes=0"))
    rhel9.dnf.dnf("module", "enable", "nvidia-driver:580-open")
    rhel9.bring(driver(rpm_nvidia.NEWER, 9))
    rhel9.dnf.dnf("module", "switch-to", "nvidia-driver:610-open", "--allowerasing")
    assert rhel9.has("nvidia-driver-cuda")["nvidia-driver-cuda"] == f"3:{rpm_nvidia.NEXT}-1.el9"
