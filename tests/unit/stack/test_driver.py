"""Which driver a host gets, and when it is refused or has to wait."""

from fnmatch import fnmatchcase

import pytest

from nimctl.description.document import Driver as Settings
from nimctl.stack import versions
from nimctl.stack.driver_names import FAMILY, family, spelled
from nimctl.stack.host import Driver, Host, KernelModule, Package, PciDevice, System
from nimctl.stack.layers import driver
from nimctl.stack.plan import AskError, Offers, Question, RefusedError

H100 = PciDevice(address="0000:18:00.0", id="10de:2330")
B200 = PciDevice(address="0000:18:00.0", id="10de:2901")
V100 = PciDevice(address="0000:18:00.0", id="10de:1db5")
SWITCH = PciDevice(address="0000:07:00.0", id="10de:22a3")
KERNEL = "6.8.0-85-generic"
DEBIAN, UBUNTU, RHEL = "nvidia-debian-13", "nvidia-ubuntu-24.04", "nvidia-rhel-9"
USER, DKMS = "nvidia-driver-cuda", "nvidia-kernel-open-dkms"
RELEASES = ("610.57.04-1", "595.91.07-1", "580.178.04-1", "580.126.20-1", "570.211.01-1")


class Everything(dict):
    """A repository that has every package in the same versions."""

    def __init__(self, *versions):
        self.versions = list(versions)

    def __contains__(self, name):
        return True

    def __getitem__(self, name):
        return self.versions


class Without(Everything):
    """One that lacks those whose names begin so."""

    def __init__(self, start, kept, *versions):
        super().__init__(*versions)
        self.start, self.kept = start, kept

    def __getitem__(self, name):
        return self.kept if name.startswith(self.start) else self.versions


def system(distribution="debian", version="13", **more):
    return System(
        **{"distribution": distribution, "version": version, "kernel": KERNEL, "headers": True, **more}
    )


def host(loaded="", packages=None, **more):
    fields = {
        "system": system(),
        "package_manager": "apt",
        "gpus": (H100,),
        "driver": Driver(
            loaded=loaded,
            flavour="open" if loaded else "",
            user_space=loaded,
            installed=(KernelModule(name="nvidia", version=loaded, flavour="open"),) if loaded else (),
        ),
        "packages": {name: Package(version=v, held=True) for name, v in (packages or {}).items()},
        **more,
    }
    return Host(**fields)


def of(version, *more):
    return dict.fromkeys((USER, DKMS, *more), f"{version}-1")


def plan(on=None, offers=None, context=None, **settings):
    known = {DEBIAN: Everything(*RELEASES)} if offers is None else offers
    return driver.plan(Question(on or host(), Settings(**settings), Offers(known), context or {}))


# Which driver


def test_a_bare_host_gets_open_modules_of_the_branch_that_is_supported_longest():
    result = plan()
    assert result.values["steps"] == "managed"
    assert result.values["versions"] == of("580.178.04")
    assert result.values["hold"] == [USER, DKMS]
    assert result.cost == "none"
    assert result.pending == ()


def test_a_branch_and_an_exact_version():
    assert plan(branch=595).values["versions"] == of("595.91.07")
    assert plan(version="580.126.20").values["versions"] == of("580.126.20")


def test_the_lock_decides_where_the_description_does_not():
    locked = {"locked": {"driver": {"version": "580.126.20"}}}
    assert plan(context=locked).values["version"] == "580.126.20"
    assert plan(context=locked, branch=580).values["version"] == "580.126.20"
    assert plan(context=locked, branch=570).values["version"] == "570.211.01"
    assert plan(context=locked, version="580.178.04").values["version"] == "580.178.04"


def test_a_version_of_another_branch_is_refused():
    with pytest.raises(RefusedError, match=r"580.126.20 is not of branch 570"):
        plan(branch=570, version="580.126.20")


def test_an_unknown_branch_is_refused_with_the_known_ones():
    with pytest.raises(RefusedError, match="unknown driver branch 585, expected one of 535, 550"):
        plan(branch=585)


def test_a_branch_of_which_no_version_is_known_asks_for_one():
    with pytest.raises(RefusedError, match="no version of driver branch 620 is known"):
        plan(branch=620)


def test_what_the_repository_does_not_offer_is_refused_with_what_it_does():
    with pytest.raises(
        RefusedError, match=r"does not offer nvidia-driver-cuda 580.95.05; it offers 610.57.04-1"
    ):
        plan(version="580.95.05")


# Kernel modules


def test_volta_gets_proprietary_modules():
    old = host(gpus=(V100,))
    assert plan(old).values["versions"] == {USER: "580.178.04-1", "nvidia-kernel-dkms": "580.178.04-1"}
    with pytest.raises(RefusedError, match="volta"):
        plan(old, modules="open")
    with pytest.raises(RefusedError, match="580 is the last"):
        plan(old, branch=595)


def test_blackwell_is_refused_proprietary_modules():
    with pytest.raises(RefusedError, match=r"proprietary.*blackwell"):
        plan(host(gpus=(B200,)), modules="proprietary")


def test_proprietary_modules_are_refused_where_the_branch_has_none():
    with pytest.raises(RefusedError, match="branch 620 has no proprietary kernel modules"):
        plan(version="620.10.01", modules="proprietary")


# Names


@pytest.mark.parametrize(
    ("branch", "revision", "names"),
    [
        (
            570,
            "570.211.01-0ubuntu1",
            {"libnvidia-compute-570", "nvidia-utils-570", "nvidia-compute-utils-570", "nvidia-dkms-570-open"},
        ),
        (
            580,
            "580.178.04-0ubuntu1",
            {"libnvidia-compute-580", "nvidia-utils-580", "nvidia-compute-utils-580", "nvidia-dkms-580-open"},
        ),
        (610, "610.57.04-1ubuntu1", {"libnvidia-compute", "nvidia-persistenced", "nvidia-dkms-open"}),
    ],
)
def test_names_in_nvidias_repository_for_ubuntu(branch, revision, names):
    ubuntu = host(system=system("ubuntu", "24.04"))
    result = plan(ubuntu, {UBUNTU: Everything(revision)}, branch=branch)
    assert result.values["versions"] == dict.fromkeys(names, revision)


def test_names_of_rpms_and_their_epoch():
    rocky = host(system=system("rocky", "9.6"), package_manager="dnf")
    version = "3:580.178.04-1.el9"
    result = plan(rocky, {RHEL: Everything(version)}, branch=580)
    assert result.values["versions"] == {USER: version, "kmod-nvidia-open-dkms": version}


def test_the_distributions_own_packages():
    ubuntu = host(system=system("ubuntu", "24.04"))
    own = {"distribution": Everything("580.173.02-0ubuntu0.24.04.1", "575.57.08-0ubuntu1")}
    result = plan(ubuntu, own, branch=580, source="distribution", build="precompiled")
    assert result.values["version"] == "580.173.02"
    assert "nvidia-utils-580-server" in result.values["versions"]
    assert result.values["names"] == [f"linux-modules-nvidia-580-server-open-{KERNEL}"]
    assert result.values["repositories"] == []


def test_a_branch_that_the_distribution_does_not_package_is_refused():
    with pytest.raises(RefusedError, match="debian-13 does not package driver branch 580; it has 550, 535"):
        plan(branch=580, source="distribution")


def test_a_branch_that_nvidia_does_not_have_for_the_distribution_is_refused():
    newest = host(system=system("ubuntu", "26.04"))
    with pytest.raises(RefusedError, match="begins with branch 595"):
        plan(newest, {}, branch=580)


def test_a_key_that_nobody_has_read_needs_to_be_given():
    newest = host(system=system("ubuntu", "26.04"))
    with pytest.raises(RefusedError, match=r"stack.mirrors.nvidia.key"):
        plan(newest, {}, branch=595)


def test_precompiled_modules_are_refused_where_there_are_none():
    with pytest.raises(RefusedError, match="no precompiled open modules"):
        plan(build="precompiled")


# Already right, and changes of a driver that is loaded


def test_what_is_right_asks_nobody_and_changes_nothing():
    result = plan(host("580.178.04", of("580.178.04")), {}, branch=580)
    assert result.values["steps"] == "managed"
    assert result.will == ()
    assert result.cost == "none"


def test_a_hold_that_was_lifted_is_a_change():
    lifted = host("580.178.04", packages={})
    lifted = lifted.model_copy(
        update={"packages": {name: Package(version=v, held=False) for name, v in of("580.178.04").items()}}
    )
    assert plan(lifted, {}, branch=580).will == (
        f"hold {USER} at 580.178.04-1",
        f"hold {DKMS} at 580.178.04-1",
    )


@pytest.mark.parametrize(("before", "after"), [("570.211.01", "580.178.04"), ("580.178.04", "570.211.01")])
def test_a_loaded_driver_is_not_replaced_on_a_node_that_is_in_use(before, after):
    result = plan(host(before, of(before)), version=after)
    assert result.values["steps"] == "wait"
    assert result.cost == "drain"
    (waits,) = result.pending
    assert f"change the driver from {before} to {after}" in waits
    assert "downloaded and not activated" in waits


def test_who_uses_the_gpus_is_said():
    busy = host("570.211.01", of("570.211.01"))
    busy = busy.model_copy(update={"driver": busy.driver.model_copy(update={"user_names": {"7": "python3"}})})
    assert "used by python3" in plan(busy, branch=580).pending[0]


@pytest.mark.parametrize(("leave", "cost"), [("drained", "drain"), ("reboot_ok", "reboot")])
def test_a_loaded_driver_is_replaced_on_a_node_that_is_drained_or_may_reboot(leave, cost):
    result = plan(host("570.211.01", of("570.211.01")), context={leave: True}, branch=580)
    assert result.values["steps"] == "switch"
    assert result.values["trial"] == {DKMS: "580.178.04-1"}
    assert result.values["kernel"] == KERNEL
    assert result.cost == cost


@pytest.mark.parametrize("name", ["nvidia", "nvidia_current_open"], ids=["NVIDIA's", "Debian's"])
def test_a_driver_that_is_on_disk_waits_for_the_reboot(name):
    half = host("580.178.04", of("580.178.04"))
    modules = (KernelModule(name=name, version="580.178.04", flavour="open"),)
    driver = half.driver.model_copy(update={"loaded": "570.211.01", "installed": modules})
    half = half.model_copy(update={"driver": driver})
    result = plan(half, {}, branch=580)
    assert result.values["steps"] == "managed"
    assert result.cost == "reboot"
    assert result.values["units"][0]["state"] == "kept"
    assert "570.211.01 is still loaded" in result.pending[0]
    assert plan(half, {}, {"drained": True}, branch=580).values["steps"] == "switch"


def test_another_kind_of_modules_is_a_change_of_the_loaded_driver():
    loaded = host("580.178.04", of("580.178.04"))
    modules = (KernelModule(name="nvidia", version="580.178.04", flavour="proprietary"),)
    other = loaded.driver.model_copy(update={"flavour": "proprietary", "installed": modules})
    loaded = loaded.model_copy(update={"driver": other})
    result = plan(loaded, branch=580)
    assert result.values["steps"] == "wait"
    assert "580.178.04 (proprietary modules)" in result.pending[0]


def test_a_container_gets_user_space_only():
    inside = host("570.211.01", of("570.211.01"), system=system(container="podman"))
    result = plan(inside, branch=580)
    assert result.values["steps"] == "managed"
    assert result.values["versions"] == {USER: "580.178.04-1"}
    assert result.values["load"] == []


def test_nouveau_waits_for_a_reboot():
    result = plan(host(driver=Driver(nouveau=True)))
    assert "nouveau is loaded" in result.pending[0]
    assert result.values["load_now"] is False
    assert result.cost == "reboot"


# In step with Fabric Manager


def test_fabric_manager_moves_in_the_same_transaction_under_its_new_name():
    there = of("570.211.01", "nvidia-fabricmanager-570", "libnvidia-nscq-570")
    result = plan(host("570.211.01", there, nvswitches=(SWITCH,)), context={"drained": True}, branch=580)
    assert result.values["versions"] == of("580.178.04", "nvidia-fabricmanager", "libnvidia-nscq")
    back = plan(
        host("580.178.04", of("580.178.04", "nvidia-fabricmanager"), nvswitches=(SWITCH,)),
        context={"drained": True},
        branch=570,
    )
    assert back.values["versions"] == of("570.211.01", "nvidia-fabricmanager-570")


def test_a_driver_without_its_fabric_manager_is_refused_where_there_are_switches():
    lacking = {DEBIAN: Without("nvidia-fabricmanager", ["580.126.20-1"], *RELEASES)}
    with pytest.raises(
        RefusedError, match=r"does not offer nvidia-fabricmanager 580.178.04; it offers 580.126.20"
    ):
        plan(host(nvswitches=(SWITCH,)), lacking, branch=580)
    assert plan(host(), lacking, branch=580).values["version"] == "580.178.04"


def test_every_name_that_carries_the_version_is_of_the_family():
    for title, row in versions.load().driver_packages.items():
        parts = [row.user_space, *row.full.values(), *row.dkms.values(), *row.trial.values()]
        parts.append(tuple(name for product, name in row.fabric.items() if product != "nvlsm"))
        for part in parts:
            for name in spelled(part, 580, "580.1", KERNEL):
                assert any(fnmatchcase(name, pattern) for pattern in FAMILY), (title, name)
    for name in ("nvidia-container-toolkit", "libnvidia-container1", "nvidia-driver-pinning-580", "nvlsm"):
        assert not any(fnmatchcase(name, pattern) for pattern in FAMILY), name


@pytest.mark.parametrize(("distribution", "belongs"), [("debian", False), ("ubuntu", True)])
def test_debians_own_package_with_a_date_for_a_version_is_none_of_the_family(distribution, belongs):
    node = host()
    node = node.model_copy(update={"system": node.system.model_copy(update={"distribution": distribution})})
    patterns = family(node)
    assert any(fnmatchcase("nvidia-kernel-common", pattern) for pattern in patterns) is belongs
    for name in ("nvidia-kernel-common-580", "nvidia-kernel-open-dkms", "nvidia-kernel-source-580-open"):
        assert any(fnmatchcase(name, pattern) for pattern in patterns), name


# What has to be there first


def test_secure_boot_is_refused_before_anything_is_installed():
    secure = host(system=system(secure_boot=True))
    with pytest.raises(RefusedError, match=r"Secure Boot is on.*Nothing was changed"):
        plan(secure, {})


def test_secure_boot_gets_a_key_first():
    secure = host(system=system(secure_boot=True))
    assert plan(secure, secure_boot="enroll").values["steps"] == "enroll"
    known = host(system=system(secure_boot=True, signing_key="enrolled"))
    assert plan(known).values["steps"] == "managed"


def test_signed_packages_need_no_key():
    secure = host(system=system("ubuntu", "24.04", secure_boot=True))
    own = {"distribution": Everything("580.173.02-0ubuntu1")}
    assert plan(secure, own, source="distribution", build="precompiled").values["steps"] == "managed"


def test_a_driver_that_is_loaded_under_secure_boot_is_not_refused():
    loaded = host("580.178.04", of("580.178.04"), system=system(secure_boot=True))
    assert plan(loaded, {}, branch=580).values["steps"] == "managed"


def test_headers_of_the_running_kernel_are_installed():
    bare = host(system=system(headers=False))
    with pytest.raises(AskError, match=r"linux-headers-6.8.0-85-generic"):
        plan(bare)
    known = {DEBIAN: Everything(*RELEASES), "distribution": Everything("6.8.0-85.86")}
    assert plan(bare, known).values["names"] == [f"linux-headers-{KERNEL}"]


def test_headers_that_nobody_has_are_refused_with_a_way_out():
    old = host(system=system(headers=False, kernels=(KERNEL, "6.8.0-90-generic")))
    with pytest.raises(RefusedError, match=r"Reboot into another installed kernel \(6.8.0-90-generic\)"):
        plan(old, {DEBIAN: Everything(*RELEASES), "distribution": Everything()})


def test_a_driver_that_no_package_has_brought_is_left_alone():
    with pytest.raises(RefusedError, match=r"no package of this node has brought it"):
        plan(host("580.159.04"), {})


# Other modes


def test_a_node_without_gpu_needs_nothing():
    assert plan(host(gpus=()), {}).values == {"steps": "nothing"}


def test_verify_says_what_differs():
    other = host("570.211.01", of("570.211.01"))
    assert plan(other, {}, mode="verify").will == ()
    assert plan(other, {}, mode="verify", branch=580).will == (
        "driver branch 580 is wanted, found 570.211.01",
    )
    half = other.model_copy(update={"driver": other.driver.model_copy(update={"user_space": "580.1"})})
    assert plan(half, {}, mode="verify").will == (
        "the libraries are of driver 580.1, and 570.211.01 is loaded",
    )
    assert plan(host(), {}, mode="verify").will == ("no NVIDIA driver is loaded",)


def test_a_mirror_takes_the_place_of_the_publisher():
    mirrors = {"nvidia": {"url": "http://mirror/cuda", "key": "A" * 40}}
    (repository,) = plan(context={"mirrors": mirrors}).values["repositories"]
    assert repository["url"] == "http://mirror/cuda/debian13/x86_64/"
    assert repository["fingerprint"] == "A" * 40
