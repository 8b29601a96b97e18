"""Which limits and settings a node needs, and what of it waits."""

import pytest

from nimctl.description import document
from nimctl.stack.host import Driver, Host, Package, System, Tuning
from nimctl.stack.layers import tuning
from nimctl.stack.plan import Question

SYSCTLS = {
    "vm.max_map_count": "65530",
    "net.core.somaxconn": "4096",
    "vm.zone_reclaim_mode": "1",
    "kernel.numa_balancing": "0",
}
CONTAINER = System(container="podman")


def host(system=None, driver=None, packages=None, **fields):
    ready = {
        "sysctls": SYSCTLS,
        "memlock": "infinity",
        "limits": {"hard memlock": "unlimited"},
        "remove_ipc": False,
        "governor": "performance",
    }
    return Host(
        system=system or System(),
        driver=driver or Driver(),
        packages=packages or {},
        tuning=Tuning(**{**ready, **fields}),
    )


def plan(on=None, context=None, **settings):
    return tuning.plan(Question(on or host(), document.Tuning(**settings), context=context or {}))


def text(result, path):
    return next(file["content"] for file in result.values["files"] if file["path"] == path)


def units(result):
    return {unit["name"]: unit for unit in result.values["units"]}


def test_only_what_is_lower_or_other_is_said_to_change():
    assert plan().will == (
        "set vm.max_map_count from 65530 to 1048576 mappings of one process",
        "set vm.zone_reclaim_mode from 1 to 0",
    )


def test_a_floor_of_the_description_wins_and_has_to_exist():
    result = plan(sysctls={"vm.max_map_count": 2000000, "vm.zone_reclaim_mode": 1})
    assert result.values["floors"]["vm.max_map_count"] == 2000000
    assert "vm.zone_reclaim_mode" not in result.values["exact"]
    assert "vm.max_map_count" not in result.values["optional"]
    assert "kernel.numa_balancing" in result.values["optional"]


def test_hugepages_are_a_floor():
    assert "vm.nr_hugepages" not in plan().values["floors"]
    assert plan(hugepages=64).values["floors"]["vm.nr_hugepages"] == 64


def test_services_and_logins_may_lock_memory():
    result = plan(host(memlock="", limits={}))
    assert "DefaultLimitMEMLOCK=infinity:infinity" in text(result, tuning.SERVICES)
    lines = text(result, tuning.LOGINS).splitlines()
    assert "* hard memlock unlimited" in lines
    assert "root soft nofile 65536" in lines
    assert "let logins lock all memory" in result.will
    assert any("8 MiB" in line for line in result.will)


def test_shared_memory_of_ranks_is_kept():
    result = plan(host(remove_ipc=None))
    assert text(result, tuning.LOGIND).endswith("[Login]\nRemoveIPC=no\n")
    assert units(result)["systemd-logind.service"]["restart_on"] == [tuning.LOGIND]
    assert any("RemoveIPC" in line for line in result.will)


def test_a_container_is_told_what_is_not_its_own():
    result = plan(host(CONTAINER, limits={}, governor="powersave"))
    assert result.will == ()
    assert tuning.LOGINS not in [file["path"] for file in result.values["files"]]
    assert any("container (podman)" in note for note in result.notes)
    low = plan(host(CONTAINER, sysctls={"net.core.somaxconn": "128"}))
    assert low.will == ("set net.core.somaxconn from 128 to 4096 connections waiting for accept",)


def test_the_governor_is_set_by_a_unit_unless_it_is_kept():
    result = plan(host(governor="powersave"))
    assert units(result)[tuning.GOVERNOR]["state"] == "started"
    assert "set the CPU governor from powersave to performance" in result.will
    assert tuning.GOVERNOR not in units(plan(governor="keep"))


def test_access_control_is_reported_and_nothing_changed():
    result = plan(host(acs=("0000:16:01.0",)))
    assert tuning.ACS not in units(result)
    assert "set stack.tuning.acs to disable" in result.notes[0]


def test_access_control_goes_at_once_only_where_nobody_uses_a_gpu():
    on = {"acs": ("0000:16:01.0",)}
    assert units(plan(host(**on), acs="disable"))[tuning.ACS]["state"] == "started"
    busy = host(driver=Driver(users=(7,), user_names={"7": "python3"}), **on)
    result = plan(busy, acs="disable")
    assert units(result)[tuning.ACS]["state"] == "kept"
    assert result.cost == "drain"
    assert "python3" in result.pending[0]
    drained = plan(busy, {"drained": True}, acs="disable")
    assert units(drained)[tuning.ACS]["state"] == "started"
    assert drained.values["packages"] == ["pciutils"]


def test_passthrough_waits_for_a_reboot():
    result = plan(host(iommu="translated"), iommu="passthrough")
    assert result.values["arguments"] == ["iommu=pt"]
    assert (result.cost, len(result.pending)) == ("reboot", 1)
    done = plan(host(iommu="passthrough"), iommu="passthrough")
    assert (done.cost, done.pending, done.values["arguments"]) == ("none", (), ["iommu=pt"])


def test_an_iommu_that_translates_is_reported():
    assert "IOMMU translates" in plan(host(iommu="translated")).notes[0]


def test_another_that_sets_the_governor_is_named():
    assert "tuned" in plan(host(packages={"tuned": Package(version="2.24")})).notes[0]


def test_a_layer_that_is_ignored_decides_nothing():
    assert plan(mode="ignore").values == {"steps": "ignore"}


@pytest.mark.parametrize("name", ["vm.max_map_count", "memlock"])
def test_every_number_has_a_unit_and_a_source(name):
    row = Question(Host(), None).versions.tuning[name]
    assert row.unit
    assert row.source
