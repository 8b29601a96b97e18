import time

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.host import mounts, probe

from nimctl.stack.host import Host


@pytest.fixture
def sections(monkeypatch):
    """Put other sections in the place of real ones."""

    def put(**others):
        monkeypatch.setattr(probe, "SECTIONS", {**probe.SECTIONS, **others})
        monkeypatch.setattr(probe, "PATIENCE", 1.0)

    return put


def test_a_part_that_hangs_is_missing_and_named(sections):
    sections(cdi=lambda tree: time.sleep(60))
    start = time.monotonic()
    found = probe.probe()
    assert time.monotonic() - start < 30
    assert "cdi" not in found
    assert "reading cdi takes longer than 1 s and was given up" in found["problems"]
    assert Host.from_probe(found).system.kernel


def test_a_part_that_fails_is_missing_and_named(sections):
    sections(packages=lambda tree: {}["x"])
    found = probe.probe()
    assert "reading packages failed: KeyError: 'x'" in found["problems"]
    assert Host.from_probe(found).packages == {}


def test_the_time_limits_together_are_what_is_promised():
    assert mounts.PATIENCE + probe.PATIENCE < 20


def test_a_problem_of_several_parts_is_told_once(sections):
    sections(cdi=lambda tree: tree.problem("same"), dkms=lambda tree: tree.problem("same"))
    assert probe.probe()["problems"].count("same") == 1


def test_a_probe_is_cheap():
    def cost():
        # In one process, so that its CPU time is all there is.
        start = time.process_time()
        probe.read_mounts(probe.Tree())
        for name in probe.SECTIONS:
            probe.read_section(probe.SECTIONS[name], probe.Tree())
        return time.process_time() - start

    assert min(cost() for _ in range(3)) < 0.3
