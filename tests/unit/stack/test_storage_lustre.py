"""What a node does for Lustre, and what is refused before anything changes."""

import pytest

from nimctl.description.document import Storage
from nimctl.stack.host import Host
from nimctl.stack.layers.storage_lustre import plan
from nimctl.stack.plan import AskError, Offers, Question, RefusedError

KERNEL = "6.8.0-55-generic"
ENTRY = {
    "kind": "lustre",
    "server": "10.22.0.10@o2ib:10.22.0.11@o2ib",
    "export": "/scratch",
    "mount": "/lustre",
}
TCP = "10.0.0.9@tcp"
FABRIC = {"kind": "infiniband", "interface": "ib0"}
MIRROR = {"lustre": {"url": "https://mirror.example.com/lustre/", "key": "ab" * 20}}
UTILS, MODULES = "lustre-client-utils", f"lustre-client-modules-{KERNEL}"


def host(*mounts, modules=("lustre", "lnet", "ko2iblnd"), packages=(UTILS,), container="", **fields):
    system = {
        "distribution": "ubuntu", "version": "24.04", "kernel": KERNEL, "container": container, **fields
    }  # fmt: skip
    return Host.model_validate(
        {
            "system": system,
            "package_manager": "apt",
            "packages": {name: {"version": "2.17.0-1"} for name in packages},
            "available_modules": modules,
            "interfaces": [
                {"name": "eth0", "addresses": ["10.0.0.1/24"]},
                {"name": "ib0", "addresses": ["10.21.0.1/16"]},
            ],
            "mounts": mounts,
        }
    )


def asked(on=None, fabric=FABRIC, mirrors=None, offers=None, mode="managed", locked=None, **fields):
    context = {
        "mode": mode,
        "fabric": fabric,
        "address": "10.0.0.1",
        "mirrors": mirrors or {},
        "locked": locked or {},
    }
    known = Offers({"lustre-ubuntu-24.04": offers} if offers is not None else {})
    return plan(Question(on or host(), (Storage(**{**ENTRY, **fields}),), known, context))


def units(planned):
    return {unit["name"]: unit for unit in planned.values["units"]}


def mounted(source="10.22.0.10@o2ib:10.22.0.11@o2ib:/scratch", kind="lustre", answers=True, options=("rw",)):
    return {"source": source, "target": "/lustre", "type": kind, "answers": answers, "options": options}


def test_a_mount_needs_lnet_and_waits_for_its_first_use():
    found = units(asked(options=["noatime"]))
    text = found["lustre.mount"]["definition"]
    assert "What=10.22.0.10@o2ib:10.22.0.11@o2ib:/scratch\nWhere=/lustre\nType=lustre\n" in text
    assert "After=network-online.target lnet.service\n" in text
    assert "Requires=lnet.service\n" in text
    assert "Options=_netdev,flock,noatime\n" in text
    assert next(iter(found)) == "lnet.service"
    assert found["lnet.service"]["restart_on"] == ["/etc/lnet.conf"]
    assert (found["lustre.mount"]["state"], found["lustre.automount"]["state"]) == ("kept", "started")


def test_without_automount_the_mount_itself_is_started():
    assert list(units(asked(automount=False))) == ["lnet.service", "lustre.mount"]


def test_another_kind_of_locking_replaces_ours():
    assert (
        "Options=_netdev,localflock\n" in units(asked(options=["localflock"]))["lustre.mount"]["definition"]
    )


def test_lnet_takes_the_fabric_for_rdma_and_the_servers_network_for_tcp():
    (file,) = asked().values["files"]
    assert "    - net type: o2ib\n" in file["content"]
    assert "0: ib0\n" in file["content"]
    (file,) = asked(server=TCP).values["files"]
    assert ("net type: tcp\n" in file["content"], "0: eth0\n" in file["content"]) == (True, True)


def test_a_server_by_rdma_needs_a_fabric():
    with pytest.raises(
        RefusedError, match=r"10\.22\.0\.10@o2ib cannot be reached.*fabric.*@tcp of the server"
    ):
        asked(fabric={})


def test_an_interface_that_is_not_there_is_refused():
    with pytest.raises(RefusedError, match=r"no interface ib7.*it has eth0, ib0"):
        asked(fabric={"kind": "roce", "interface": "ib7"})


def test_a_network_that_nobody_has_is_refused():
    with pytest.raises(RefusedError, match="is on the network gni, expected tcp or o2ib"):
        asked(server="10.0.0.9@gni")


def test_a_missing_server_is_refused():
    with pytest.raises(RefusedError, match=r"/lustre has no server or no export\. Give the NIDs"):
        asked(server=None)


def test_without_a_client_and_without_a_mirror_it_says_that_nobody_signs():
    with pytest.raises(RefusedError, match=r"No publisher signs its Lustre packages.*stack\.mirrors\.lustre"):
        asked(on=host(packages=()))


def test_a_mirror_needs_a_key():
    with pytest.raises(RefusedError, match="needs url and key"):
        asked(on=host(packages=()), mirrors={"lustre": {"url": "https://mirror.example.com"}})


def test_packages_of_a_mirror_have_one_version_for_the_running_kernel():
    new = host(packages=(), modules=())
    with pytest.raises(AskError):
        asked(on=new, mirrors=MIRROR)
    offers = {UTILS: ["2.17.0-1", "2.15.8-1"], MODULES: ["2.17.0-1", "2.15.8-1"]}
    decided = asked(on=new, mirrors=MIRROR, offers=offers)
    assert decided.values["versions"] == {UTILS: "2.17.0-1", MODULES: "2.17.0-1"}
    (repository,) = decided.values["repositories"]
    assert repository["url"] == "https://mirror.example.com/lustre/ubuntu-24.04/"
    assert repository["fingerprint"] == "AB" * 20
    locked = asked(on=new, mirrors=MIRROR, offers=offers, locked={"storage_lustre": {"version": "2.15.8"}})
    assert locked.values["versions"] == {UTILS: "2.15.8-1", MODULES: "2.15.8-1"}


def test_what_came_from_the_mirror_is_wanted_by_the_next_run_as_well():
    offers = {UTILS: ["2.17.0-1"], MODULES: ["2.17.0-1"]}
    again = asked(on=host(packages=(UTILS, MODULES), modules=()), mirrors=MIRROR, offers=offers)
    assert again.values["versions"] == {UTILS: "2.17.0-1", MODULES: "2.17.0-1"}
    assert again.values["repositories"]


def test_a_mirror_without_modules_for_the_running_kernel_is_refused():
    with pytest.raises(RefusedError, match=rf"has no {MODULES}.*or set packages: dkms"):
        asked(on=host(packages=()), mirrors=MIRROR, offers={UTILS: ["2.17.0-1"], MODULES: []})


def test_dkms_brings_the_headers():
    offers = {UTILS: ["2.17.0-1"], "lustre-client-modules-dkms": ["2.17.0-1"]}
    decided = asked(on=host(packages=()), mirrors=MIRROR, offers=offers, packages="dkms")
    assert decided.values["names"] == [f"linux-headers-{KERNEL}"]


@pytest.mark.parametrize(
    ("modules", "how", "said"),
    [
        ((), "packages", "has no module lustre and no ko2iblnd. Install the modules for this kernel"),
        ((), "dkms", f"dkms autoinstall -k {KERNEL}"),
        (("lustre",), "packages", "has no module ko2iblnd. Use a client that was built with o2ib"),
    ],
)
def test_a_kernel_without_the_modules_is_refused_with_what_to_do(modules, how, said):
    with pytest.raises(RefusedError) as refused:
        asked(on=host(modules=modules), packages=how)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "found",
    [mounted(source="10.9.9.9@tcp:/scratch"), mounted("10.22.0.10@o2ib:/other"), mounted("x:/y", "nfs4")],
)
def test_something_else_in_the_place_is_refused(found):
    with pytest.raises(RefusedError, match=r"mounted, expected.*or nothing"):
        asked(on=host(found))


def test_the_kernel_may_show_one_of_several_nids():
    assert asked(on=host(mounted("10.22.0.11@o2ib:/scratch")), automount=False).will == ()


def test_a_mount_that_does_not_answer_is_refused():
    with pytest.raises(RefusedError, match=r"does not answer.*umount --lazy /lustre"):
        asked(on=host(mounted(answers=False)))


def test_a_single_server_by_tcp_is_tried_beforehand():
    assert asked(server=TCP).values["reach"] == [{"host": "10.0.0.9", "port": 988, "what": "storage /lustre"}]
    assert asked(server=f"{TCP}:10.0.0.8@tcp").values["reach"] == []
    assert asked().values["reach"] == []


def test_what_is_only_checked_is_named_where_it_differs():
    assert asked(mode="verify").will == ("/lustre is not mounted",)
    decided = asked(on=host(mounted()), mode="verify", options=["flock"])
    assert decided.will == ("/lustre is mounted without flock",)


def test_in_a_container_nothing_is_mounted():
    decided = asked(on=host(container="podman", modules=()))
    assert {unit["state"] for unit in decided.values["units"]} == {"kept"}
    assert (decided.values["reach"], "not mounted" in decided.notes[0]) == ([], True)


def test_what_is_left_alone():
    assert asked(mode="ignore").values["steps"] == "ignore"
