from __future__ import annotations

import pytest

from nimctl.description import load
from nimctl.lab.describe import Lab, is_generated, render, write
from nimctl.resolve import resolve


def lab(count: int = 2, gpus: int = 0, engine: str = "podman") -> Lab:
    nodes = tuple(f"node{number}" for number in range(1, count + 1))
    addresses = tuple(f"10.89.70.{10 + number}" for number in range(1, count + 1))
    return Lab("lab", nodes, addresses, "10.89.70.2:5000", engine, gpus)


@pytest.mark.parametrize(("count", "ranks"), [(1, 1), (2, 2), (4, 2), (8, 2)])
@pytest.mark.parametrize("gpus", [0, 1, 8])
def test_it_is_a_valid_description_of_one_replica(tmp_path, count, ranks, gpus):
    file = tmp_path / "cluster.yml"
    assert write(lab(count, gpus), file)
    cluster = load(file)
    assert [node.address for node in cluster.nodes] == list(lab(count).addresses)
    assert {node.gpu_count for node in cluster.nodes} == {gpus}
    assert len(resolve(cluster).ranks) == ranks


def test_it_names_the_engine_and_a_login_without_the_key(tmp_path):
    file = tmp_path / "cluster.yml"
    write(lab(engine="docker"), file)
    engine = load(file).stack.container_engine
    assert engine.engine == "docker"
    (registry,) = engine.registries
    assert (registry.host, registry.username, registry.password) == (
        "10.89.70.2:5000",
        "$oauthtoken",
        "ngc_api_key",
    )
    assert "nvapi-" not in file.read_text()


def test_it_is_kept_up_to_date_until_somebody_changes_it(tmp_path):
    file = tmp_path / "cluster.yml"
    assert write(lab(2), file)
    assert write(lab(4), file)
    assert "node[1-4]" in file.read_text()
    changed = file.read_text().replace("port: 8000", "port: 9000")
    file.write_text(changed)
    assert not write(lab(8), file)
    assert file.read_text() == changed


def test_a_description_that_a_person_wrote_is_never_taken_for_generated():
    text = render(lab())
    assert is_generated(text)
    assert not is_generated(text.partition("\n")[2])
    assert not is_generated(text + "\n")
    assert not is_generated("")
