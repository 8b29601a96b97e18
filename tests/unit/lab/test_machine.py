from __future__ import annotations

from nimctl.lab.machine import read_probe


def probe(bounding: str, files: str, processes: str, cgroup: str, pids: int = 4194304) -> str:
    return (
        f"Name:\tsh\nCapBnd:\t{bounding}\n"
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        f"Max processes             4096                 {processes:<20} processes \n"
        f"Max open files            1024                 {files:<20} files     \n"
        f"cgroup {cgroup}\npid_max {pids}\n"
    )


def test_a_usual_machine_needs_no_help():
    machine = read_probe(probe("000001ffffffffff", "1048576", "unlimited", "cgroup2fs"))
    assert machine.plain
    assert machine.ulimits == []


def test_a_machine_with_the_older_cgroups_needs_a_runtime_but_no_limits():
    machine = read_probe(probe("000001ffffffffff", "1048576", "unlimited", "tmpfs"))
    assert not machine.plain
    assert machine.ulimits == []


def test_a_machine_that_may_not_raise_limits_states_its_own():
    machine = read_probe(probe("000001fffeffffff", "20000", "96365", "cgroup2fs"))
    assert not machine.plain
    assert machine.ulimits == ["nofile=20000:20000", "nproc=96365:96365"]


def test_no_more_processes_are_asked_for_than_there_are_process_ids():
    machine = read_probe(probe("000001fffeffffff", "20000", "96365", "tmpfs", pids=32768))
    assert "nproc=32768:32768" in machine.ulimits


def test_an_unlimited_limit_is_not_stated():
    machine = read_probe(probe("000001fffeffffff", "20000", "unlimited", "tmpfs"))
    assert machine.ulimits == ["nofile=20000:20000"]
