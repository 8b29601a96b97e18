"""The tables of the host stack: what fits what, and what is said where it does not."""

from __future__ import annotations

import pytest

from nimctl.errors import DescriptionError, RefusedError
from nimctl.stack import reading, versions
from nimctl.stack.numbers import branch_of, older, upstream
from nimctl.stack.repositories import repository

known = versions.load()


def where(name="ubuntu-24.04"):
    return known.distributions[name]


@pytest.mark.parametrize(
    ("pci_id", "generation"),
    [
        ("10de:1db5", "volta"),
        ("10de:1eb8", "turing"),
        ("10de:20b2", "ampere"),
        ("10de:2236", "ampere"),
        ("10de:27b8", "ada"),
        ("10de:26b9", "ada"),
        ("10de:2330", "hopper"),
        ("10de:2335", "hopper"),
        ("10de:2329", "hopper"),
        ("10de:2342", "grace-hopper"),
        ("10de:2901", "blackwell"),
        ("10de:3182", "blackwell"),
        ("10de:2941", "blackwell"),
        ("10de:2BB5", "blackwell"),
        ("10de:2204", "ampere"),
        ("10de:1b80", "pascal"),
        ("10de:1af1", None),
        ("10de:22a3", None),
        ("10de:ffff", None),
    ],
)
def test_a_gpu_has_a_generation_by_its_pci_id(pci_id, generation):
    if pci_id in ("10de:1af1", "10de:22a3"):
        assert known.switches[pci_id[5:]] in (3, 4)
    else:
        assert known.generation_of(pci_id) == generation


def test_generations_come_oldest_first_and_once():
    assert known.generations_of(["10de:2901", "10de:1db1", "10de:2901"]) == ("volta", "blackwell")


def test_the_tables_agree_with_each_other():
    assert {row.generation for row in known.devices.values()} <= set(known.generations)
    assert {row.cdi for row in known.toolkits.values()} <= set(known.cdi)
    for row in known.docas.values():
        assert set(row.distributions) <= set(known.distributions)
    for row in known.distributions.values():
        assert {str(number) for number in row.own_branches} <= set(known.drivers)
    for row in known.drivers.values():
        assert row.version is None or row.version == row.versions[0]
        assert all(branch_of(version) == row.number for version in row.versions)
        assert list(row.versions) == sorted(row.versions, key=lambda v: [int(p) for p in v.split(".")])[::-1]
    for table in reading.TABLES:
        for row in getattr(known, table).values():
            assert row.evidence in ("verified", "third-party", "inferred", "memory")


@pytest.mark.parametrize("generation", ["volta", "turing", "ampere", "ada", "hopper", "blackwell"])
def test_without_a_branch_the_longest_supported_one_is_taken(generation):
    assert known.default_branch([generation]).number == 580


def test_a_new_distribution_has_only_new_branches():
    assert known.default_branch(["hopper"], where("ubuntu-26.04")).number == 595
    assert known.default_branch(["volta"], where("ubuntu-26.04"), "distribution").number == 580
    with pytest.raises(RefusedError, match=r"ubuntu-26.04; stack.driver.source: distribution has 580"):
        known.default_branch(["volta"], where("ubuntu-26.04"))


def test_a_distribution_has_the_branches_that_it_has():
    assert known.default_branch(["hopper"], where("debian-13"), "distribution").number == 550
    with pytest.raises(RefusedError, match="no driver branch serves GPUs of blackwell among the packages of"):
        known.default_branch(["blackwell"], where("debian-13"), "distribution")


@pytest.mark.parametrize(
    ("branch", "generations", "wanted", "kind"),
    [
        (580, ["hopper"], "auto", "open"),
        (550, ["hopper"], "auto", "proprietary"),
        (550, ["hopper"], "open", "open"),
        (580, ["volta"], "auto", "proprietary"),
        (580, ["volta", "hopper"], "auto", "proprietary"),
        (580, ["blackwell"], "auto", "open"),
        (615, ["hopper"], "auto", "open"),
        (615, ["hopper"], "proprietary", "proprietary"),
        (580, [], "auto", "open"),
    ],
)
def test_the_kind_of_modules_follows_branch_and_generation(branch, generations, wanted, kind):
    assert known.choose_modules(known.branch(branch), generations, wanted) == kind


@pytest.mark.parametrize(
    ("branch", "generations", "wanted", "says"),
    [
        (595, ["volta"], "auto", "does not serve GPUs of the generation volta any more; 580 is the last"),
        (550, ["blackwell"], "auto", "does not know GPUs of the generation blackwell, which begins with 570"),
        (580, ["volta"], "open", "open kernel modules of branch 580 do not work with GPUs of the generation"),
        (580, ["blackwell"], "proprietary", "do not work with GPUs of the generation blackwell, which needs"),
        (620, ["hopper"], "proprietary", "branch 620 has no proprietary kernel modules"),
        (580, ["volta", "blackwell"], "auto", "has no kind of kernel modules that works with the GPU"),
    ],
)
def test_what_does_not_work_together_is_refused_with_the_reason(branch, generations, wanted, says):
    with pytest.raises(RefusedError, match=says):
        known.choose_modules(known.branch(branch), generations, wanted)


def test_an_unknown_branch_is_answered_with_the_known_ones():
    with pytest.raises(RefusedError, match=r"unknown driver branch 585, expected one of 535, .*620"):
        known.branch(585)


def test_a_distribution_is_found_by_id_and_release():
    assert known.distribution("rocky", "9.6").name == "rhel-9"
    assert known.distribution("debian", "13").name == "debian-13"
    with pytest.raises(RefusedError, match=r"found ubuntu 20.04, expected one of ubuntu-22.04"):
        known.distribution("ubuntu", "20.04")
    with pytest.raises(RefusedError, match=r"found ubuntu 24\.10"):
        known.distribution("ubuntu", "24.10")


def test_the_toolkit_says_which_engines_read_what_it_writes():
    newest = known.toolkit()
    assert (newest.version, newest.cdi) == ("1.20.0", "0.7.0")
    assert known.cdi_floor(newest, "docker") == "26.1.0"
    assert known.cdi_floor(known.toolkit("1.18.1"), "podman") == "4.1.0"
    with pytest.raises(RefusedError, match=r"found container toolkit 1.2.0, expected at least 1.17.8"):
        known.toolkit("1.2.0")


def test_doca_is_for_some_distributions():
    assert known.doca(None, where()).version == "3.2.3"
    assert known.doca(None, where("ubuntu-26.04")).version == "3.4.1"
    with pytest.raises(RefusedError, match=r"DOCA-OFED is not known for debian-13; known there: none"):
        known.doca(None, where("debian-13"))
    with pytest.raises(RefusedError, match=r"DOCA-OFED 9.9 is not known for rhel-9; known there: 3.2.3"):
        known.doca("9.9", where("rhel-9"))


def test_versions_compare_without_epoch_and_revision():
    assert upstream("3:580.178.04-1.el9") == upstream("580.178.04-0ubuntu1") == "580.178.04"
    assert upstream("1:2.0") == "2.0"
    assert older("580.95.05", "580.126.09")
    assert not older("5.17", "5.17.0")
    assert older("20.10.24+dfsg1", "26.1.0")


def test_a_repository_follows_distribution_architecture_and_mirror():
    nvidia = repository(known, "nvidia", where(), "aarch64")
    assert nvidia.url.endswith("/ubuntu2404/sbsa/")
    assert nvidia.key_url.endswith("/ubuntu2404/sbsa/3bf863cc.pub")
    assert nvidia.architectures == ("arm64",)
    mirrors = {"nvidia": {"url": "http://mirror.example/cuda/", "key": "a" * 40}}
    mirrored = repository(known, "nvidia", where("rhel-9"), "x86_64", mirrors)
    assert mirrored.url == "http://mirror.example/cuda/rhel9/x86_64/"
    assert mirrored.fingerprint == "A" * 40
    toolkit = repository(known, "container_toolkit", where("debian-13"), "x86_64")
    assert toolkit.url == "https://nvidia.github.io/libnvidia-container/stable/deb/amd64/"
    doca = repository(known, "doca", where(), "x86_64", {"doca": {"key": "b" * 40}}, "3.2.3")
    assert doca.url.endswith("/doca/3.2.3/ubuntu24.04/x86_64/")
    assert doca.suite == "./"


def test_a_key_that_nobody_has_read_is_not_trusted():
    with pytest.raises(RefusedError, match=r"stack.mirrors.nvidia.key"):
        repository(known, "nvidia", where("rhel-10"), "x86_64")
    trusted = repository(known, "nvidia", where("ubuntu-26.04"), "x86_64", {"nvidia": {"key": "c" * 40}})
    assert trusted.fingerprint == "C" * 40
    assert trusted.key_url.endswith("/ubuntu2604/x86_64/cuda-archive-keyring.gpg")
    with pytest.raises(RefusedError, match=r"stack.mirrors.doca.key"):
        repository(known, "doca", where(), "x86_64", version="3.2.3")


OWN = """\
plugin: nimctl.multinode.cluster
drivers:
  "640":
    type: lts
    end_of_life: 2031-01
    version: 640.10.01
    versions: [640.10.01]
    modules: [open]
    suffixed: false
    suffixed_fabric: false
    source: the page of the day
    evidence: verified
"""


def test_a_user_adds_a_branch_without_touching_code(tmp_path):
    (tmp_path / "stack.yml").write_text(OWN)
    own = versions.load(tmp_path)
    assert own.default_branch(["hopper"]).version == "640.10.01"
    assert own.default_branch(["volta"]).number == 580
    assert "640" not in versions.load().drivers


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("plugin: nimctl.multinode.cluster\n", "", "stack.yml:1:1: plugin: found nothing"),
        ("drivers:", "driver:", "stack.yml:2:1: driver: found an unknown table"),
        ("type: lts", "type: long", 'stack.yml:4:11: drivers.640.type: found the text "long", expected'),
        ("    source: the page of the day\n", "", "drivers.640.source: found nothing, expected a value"),
        ('"640"', '"new"', 'stack.yml:3:3: drivers.new: found the name "new", expected a number'),
        ("evidence: verified", "evidence: sure", "drivers.640.evidence: found"),
    ],
)
def test_a_users_rows_are_checked_with_line_and_column(tmp_path, old, new, says):
    (tmp_path / "stack.yml").write_text(OWN.replace(old, new))
    with pytest.raises(DescriptionError) as refused:
        versions.load(tmp_path)
    assert says in str(refused.value)
