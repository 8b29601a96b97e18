"""What the container toolkit's layer decides on which host."""

from dataclasses import asdict

import pytest

from nimctl.description.document import ContainerToolkit
from nimctl.stack.host import CdiSpec, Driver, Host, Package, PciDevice, System
from nimctl.stack.layers import container_toolkit
from nimctl.stack.plan import AskError, Offers, Question, RefusedError

BASE = "nvidia-container-toolkit-base"
GPU = PciDevice(address="0000:18:00.0", id="10de:2330")
REPOSITORY = "container-toolkit-ubuntu-24.04"
FRESH = CdiSpec(path="/var/run/cdi/nvidia.yaml", kind="nvidia.com/gpu", version="0.7.0", devices=("0", "all"))
EVERYWHERE = {name: ["1.20.0-1", "1.19.1-1", "1.18.2-1", "1.17.8-1"] for name in container_toolkit.PACKAGES}


def host(packages=None, **more):
    versions = {"docker-ce": "5:29.7.2-1~ubuntu.24.04~noble", **(packages or {})}
    fields = {
        "system": System(distribution="ubuntu", version="24.04"),
        "package_manager": "apt",
        "gpus": (GPU,),
        "driver": Driver(loaded="580.178.04"),
        "packages": {name: Package(version=v, held=True) for name, v in versions.items() if v},
        **more,
    }
    return Host(**fields)


def plan(on=None, offers=EVERYWHERE, context=None, **settings):
    found = Offers({REPOSITORY: offers} if offers is not None else {})
    return container_toolkit.plan(Question(on or host(), ContainerToolkit(**settings), found, context or {}))


def test_a_bare_host_gets_the_base_package_and_a_specification():
    result = plan()
    assert result.values["versions"] == {BASE: "1.20.0-1"}
    assert result.will == (f"install {BASE} 1.20.0-1", "write a CDI specification of the GPUs")
    assert result.cost == "none"


def test_packages_that_are_there_move_together():
    there = dict.fromkeys(container_toolkit.PACKAGES, "1.18.2-1")
    result = plan(host(there), version="1.20.0")
    assert result.values["versions"] == dict.fromkeys(container_toolkit.PACKAGES, "1.20.0-1")


def test_a_host_that_has_all_is_not_touched_and_no_repository_is_asked():
    result = plan(host({BASE: "1.18.2-1"}, cdi=(FRESH,)), offers=None)
    assert result.will == ()
    assert result.values["version"] == "1.18.2"
    assert result.values["versions"] == {BASE: "1.18.2-1"}


def test_the_lock_decides_where_the_description_does_not():
    context = {"locked": {"container_toolkit": {"version": "1.19.1"}}}
    assert plan(context=context).values["versions"] == {BASE: "1.19.1-1"}
    assert plan(context=context, version="1.20.0").values["versions"] == {BASE: "1.20.0-1"}


def test_a_repository_that_was_not_asked_yet_is_asked_for_what_is_missing():
    with pytest.raises(AskError) as asked:
        plan(offers=None)
    assert asked.value.names == (BASE,)
    assert asked.value.repository.fingerprint == "C95B321B61E88C1809C4F759DDCAE044F796ECB0"


def test_a_version_that_is_not_offered_is_refused_with_those_that_are():
    with pytest.raises(RefusedError, match=r"does not offer .* 1\.21\.0; it offers 1\.20\.0-1, 1\.19\.1-1"):
        plan(version="1.21.0")


def test_a_mirror_takes_the_place_of_the_publisher():
    context = {"mirrors": {"container_toolkit": {"url": "http://mirror/ctk/", "key": "AB" * 20}}}
    (repository,) = plan(context=context).values["repositories"]
    assert repository["url"] == "http://mirror/ctk/stable/deb/amd64/"
    assert repository["key_url"] == "http://mirror/ctk/gpgkey"
    assert repository["fingerprint"] == "AB" * 20


def test_rocky_gets_the_rpm_repository():
    rocky = host({"docker-ce": "3:29.7.2-1.el9"}, system=System(distribution="rocky", version="9.6"))
    with pytest.raises(AskError) as asked:
        plan(rocky, offers=None)
    repository = asdict(asked.value.repository)
    assert repository["url"].endswith("/stable/rpm/x86_64/")
    assert repository["kind"] == "dnf"


def test_a_version_that_does_not_renew_the_specification_is_refused():
    with pytest.raises(RefusedError, match=r"1\.17\.8 does not renew .* 1\.18\.0 or newer"):
        plan(version="1.17.8")


def test_a_version_that_is_too_old_is_replaced_where_nobody_asked_for_it():
    assert plan(host({BASE: "1.17.8-1"})).will[0] == f"change {BASE} from 1.17.8-1 to 1.20.0-1"


@pytest.mark.parametrize(
    ("engine", "version", "flags"),
    [
        ("docker.io", "26.1.5+dfsg1-9+b9", []),
        ("docker.io", "25.0.3-1", [container_toolkit.NO_GROUPS]),
        ("podman", "4.9.3+ds1-1ubuntu0.2", [container_toolkit.NO_GROUPS]),
        ("podman", "4:5.4.0-1.el9", []),
    ],
)
def test_an_engine_that_cannot_read_cdi_0_7_gets_a_specification_without_groups(engine, version, flags):
    result = plan(host({"docker-ce": "", engine: version}))
    assert result.values["flags"] == flags
    assert bool(result.notes) == bool(flags)
    texts = "".join(file["content"] for file in result.values["files"])
    assert ("FEATURE_FLAGS=no-additional" in texts) == bool(flags)


def test_an_older_toolkit_writes_what_such_an_engine_reads_anyway():
    assert plan(host({"docker-ce": "", "podman": "4.9.3"}), version="1.18.2").values["flags"] == []


@pytest.mark.parametrize(("engine", "version"), [("docker.io", "20.10.24+dfsg1"), ("podman", "3.4.4")])
def test_an_engine_without_cdi_is_refused(engine, version):
    with pytest.raises(RefusedError, match="the first that know CDI"):
        plan(host({"docker-ce": "", engine: version}))


def test_one_engine_that_knows_cdi_is_enough():
    assert plan(host({"docker-ce": "", "docker.io": "20.10.24", "podman": "5.4.2"})).values["flags"] == []


def test_a_stale_specification_is_renewed():
    stale = FRESH.model_copy(update={"stale": ("/dev/nvidia7 does not exist",)})
    result = plan(host({BASE: "1.20.0-1"}, cdi=(stale,)))
    assert result.will == (
        "renew /var/run/cdi/nvidia.yaml, which is not of this driver: /dev/nvidia7 does not exist",
    )


def test_a_stale_specification_that_another_one_hides_does_not_matter():
    stale = FRESH.model_copy(update={"path": "/etc/cdi/nvidia.yaml", "stale": ("/dev/nvidia7",)})
    assert plan(host({BASE: "1.20.0-1"}, cdi=(stale, FRESH))).will == ()


def test_a_hold_that_was_lifted_is_found():
    packages = {BASE: Package(version="1.20.0-1", held=False)}
    lifted = host(cdi=(FRESH,)).model_copy(update={"packages": packages})
    assert plan(lifted).will == (f"hold {BASE} at 1.20.0-1",)


def test_without_a_driver_the_specification_has_to_wait():
    assert plan(host({BASE: "1.20.0-1"}, driver=Driver())).will == ()


def test_a_node_without_gpus_needs_nothing():
    result = plan(host(gpus=()), offers=None)
    assert result.values == {"steps": "nothing"}
    assert result.notes


def test_verify_takes_the_version_that_is_there_and_needs_no_hold():
    packages = {BASE: Package(version="1.17.8-1", held=False)}
    vendor = host(cdi=(FRESH,)).model_copy(update={"packages": packages})
    assert plan(vendor, offers=None, mode="verify").will == ()


def test_verify_says_what_differs():
    result = plan(host(), offers=None, mode="verify", version="1.20.0")
    assert result.values["steps"] == "verify"
    assert result.will == (f"{BASE} 1.20.0 is wanted, found none", "write a CDI specification of the GPUs")


def test_ignore_decides_nothing():
    assert plan(offers=None, mode="ignore").values == {"steps": "ignore"}


def test_a_specification_that_podman_cannot_read_is_renewed():
    old = host({"docker-ce": "", "podman": "4.9.3", BASE: "1.20.0-1"}, cdi=(FRESH,))
    assert plan(old).will == ("renew /var/run/cdi/nvidia.yaml, which is of CDI 0.7.0",)
