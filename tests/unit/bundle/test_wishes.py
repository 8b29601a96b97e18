"""Which packages a description needs, from the planners that decide a run, and whether a bundle has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nimctl.bundle.check import lacking, offers_of, redirectable
from nimctl.bundle.layout import Platform
from nimctl.bundle.questions import Kind
from nimctl.bundle.store import Store, open_bundle
from nimctl.bundle.wishes import Questions, bare, described, wishes_of
from nimctl.errors import RefusedError
from nimctl.inventory import read
from nimctl.lock import Lock
from nimctl.stack import versions
from nimctl.stack.repositories import Repository

DIGEST = "sha256:" + "a" * 64
CLUSTER = f"""\
plugin: nimctl.multinode.cluster
name: test
nodes:
  - {{hosts: gpu01, addresses: 10.0.0.1, gpu: {{model: h100-sxm, count: 8}}}}
deployments:
  - {{name: one, model: m/m, engine: rehearsal, image: "r.example.org/a:1@{DIGEST}", hosts: gpu01, gpus: [0]}}
"""
DRIVER = {"mode": "managed", "branch": 580, "version": "580.126.20"}
TABLES = versions.load()


@pytest.fixture
def placement(tmp_path: Path) -> Any:
    (tmp_path / "cluster.yml").write_text(CLUSTER)
    return read(tmp_path)


def host(placement: Any, kernel: str = "6.12.57+deb13-amd64") -> dict[str, Any]:
    return described(placement.cluster, placement.cluster.nodes[0], "debian-13", "x86_64", kernel, TABLES)


def everything(repository: Repository, names: tuple[str, ...]) -> Mapping[str, list[str]]:
    return {name: ["580.126.20-1"] for name in names}


def questions(**layers: Mapping[str, Any]) -> Questions:
    return Questions({name: (settings, {}) for name, settings in layers.items()}, ("podman", "netavark"))


def test_a_described_node_gets_the_packages_of_its_gpus_and_its_kernel(placement: Any) -> None:
    wishes = wishes_of(["gpu01"], host(placement), questions(driver=DRIVER), everything, TABLES)
    assert wishes.packages["nvidia-kernel-open-dkms"] == "580.126.20-1"
    assert "linux-headers-6.12.57+deb13-amd64" in wishes.packages
    assert wishes.packages["podman"] == ""
    assert set(wishes.repositories) == {"nvidia-debian-13"}
    assert wishes.locks == {"driver": {"version": "580.126.20"}}


def test_modules_need_a_kernel_and_the_message_says_how_to_give_it(placement: Any) -> None:
    with pytest.raises(RefusedError, match=r"gpu01: driver: .*--kernel"):
        wishes_of(["gpu01"], host(placement, ""), questions(driver=DRIVER), everything, TABLES)


def test_a_layer_that_is_only_checked_needs_nothing(placement: Any) -> None:
    asked = questions(driver={**DRIVER, "mode": "verify"})
    assert set(wishes_of(["gpu01"], host(placement), asked, everything, TABLES).packages) == {
        "podman",
        "netavark",
    }


def test_what_a_role_installs_whatever_its_planner_says_comes_along(placement: Any) -> None:
    wishes = wishes_of(["gpu01"], host(placement), questions(firewall={}), everything, TABLES)
    assert "nftables" in wishes.packages


def test_a_recorded_node_is_taken_as_if_nothing_were_installed() -> None:
    recorded = {
        "system": {"distribution": "debian", "headers": True},
        "packages": {"nvidia-driver-cuda": {"version": "1"}},
        "driver": {"loaded": "570.1"},
    }
    assert bare(recorded) == {"system": {"distribution": "debian", "headers": False}}


def bundled(make: Any, **packages: list[str]) -> Store:
    names = {name.replace("_", "-"): found for name, found in packages.items()}
    platform = Platform("debian-13", "x86_64", "apt", names)
    return open_bundle(make(platforms=(platform,)))


def test_what_a_bundle_lacks_is_named_with_what_it_has(make: Any, placement: Any) -> None:
    store = bundled(make, podman=["5.4.2-1"])
    kind = Kind(("gpu01",), host(placement), questions(driver=DRIVER))
    said = "\n".join(lacking(store, placement, Lock(), [kind], TABLES))
    assert f"the image r.example.org/a:1@{DIGEST}" in said
    assert "does not offer nvidia-driver-cuda 580.126.20" in said


def test_packages_without_a_version_are_missed_too(make: Any, placement: Any) -> None:
    store = bundled(make, podman=["5.4.2-1"])
    said = lacking(store, placement, Lock(), [Kind(("gpu01",), host(placement), questions())], TABLES)
    assert "gpu01: the package netavark" in said
    assert not [each for each in said if "podman" in each]


def test_a_bundle_offers_what_it_has_and_nothing_else() -> None:
    ask = offers_of(Platform("debian-13", "x86_64", "apt", {"a": ["2", "1"]}))
    assert ask(Repository("r", "apt", "", "", ""), ("a", "b")) == {"a": ["2", "1"], "b": []}


@pytest.mark.parametrize(
    ("registry", "possible"),
    [
        ("nvcr.io", True),
        ("r.example.org:5000", True),
        ("docker.io", False),
        ("10.0.0.1:5000", False),
        ("[fd00::1]:5000", False),
    ],
)
def test_docker_takes_images_from_the_node_itself_where_the_registry_has_a_name(
    registry: str, possible: bool
) -> None:
    assert redirectable(registry) is possible
