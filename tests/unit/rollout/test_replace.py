from pathlib import Path

import pytest
import yaml

from nimctl.contracts import builtin
from nimctl.description import load
from nimctl.lock import Lock
from nimctl.locking import seats_of
from nimctl.resolve import resolve
from nimctl.rollout.replace import CannotReplaceError, check, checked, edited, moved

TEXT = """\
plugin: nimctl.multinode.cluster
name: prod
nodes:
  - hosts: "gpu[01-04]"   # the rack
    addresses: "10.0.0.[11-14]"
    gpu: {model: h100-sxm, count: 8}
    fabric: {kind: infiniband, rate: ndr, addresses: "10.1.0.[11-14]"}
  - {hosts: l40, addresses: 10.0.0.20, gpu: {model: l40s, count: 8}}
  - {hosts: "bare[1-2]", addresses: "10.0.0.[31-32]", gpu: {count: 0}}
deployments:
  - name: pair
    model: m/pair
    engine: rehearsal
    image: registry.lab:5000/rehearsal:1
    hosts: "gpu[01-02]"   # keep
    parallel: {tensor: 8, pipeline: 2}
  - {name: solo, model: m/solo, engine: rehearsal, image: "registry.lab:5000/r:1", hosts: bare1, port: 8100}
"""


def described(tmp_path: Path, text: str = TEXT):
    file = tmp_path / "cluster.yml"
    file.write_text(text)
    return load(tmp_path)


def locked(cluster) -> Lock:
    return Lock(placement=seats_of(resolve(cluster, Lock(), builtin())))


def replaced(tmp_path, name, spare, text=TEXT):
    cluster = described(tmp_path, text)
    lock = locked(cluster)
    check(cluster, lock, name, spare)
    after = edited(text, tmp_path / "cluster.yml", name, spare)
    wanted = moved(lock, name, spare)
    return lock, after, checked(described(tmp_path, after), wanted, builtin())


@pytest.mark.parametrize("name", ["gpu01", "gpu02"])
def test_the_seats_of_one_node_move_and_nothing_else(tmp_path, name):
    lock, _, placement = replaced(tmp_path, name, "gpu04")
    other = {"gpu01": "gpu02", "gpu02": "gpu01"}[name]
    seats = [(rank.node, rank.gpus) for rank in placement.ranks if rank.deployment == "pair"]
    order = ["gpu04", other] if name == "gpu01" else [other, "gpu04"]
    assert seats == [(node, tuple(range(8))) for node in order]
    before = {rank.name: rank.spec for rank in resolve(described(tmp_path), lock, builtin()).ranks}
    changed = {rank.name for rank in placement.ranks if rank.spec != before[rank.name]}
    assert changed <= {"pair-0-0", "pair-0-1"}


def test_the_description_is_edited_where_it_names_the_node(tmp_path):
    _, after, _ = replaced(tmp_path, "gpu02", "gpu04")
    changed = [line for line in after.splitlines() if line not in TEXT.splitlines()]
    assert changed == ["    absent: gpu02", '    hosts: "gpu[01,04]"   # keep']
    assert {node.name for node in described(tmp_path, after).nodes if node.absent} == {"gpu02"}


def test_an_entry_in_one_line_stays_in_one_line(tmp_path):
    _, after, _ = replaced(tmp_path, "bare1", "bare2")
    assert '  - {hosts: "bare[1-2]", absent: bare1, addresses: "10.0.0.[31-32]", gpu: {count: 0}}' in after
    assert yaml.safe_load(after)["deployments"][1]["hosts"] == "bare2"


def test_a_second_node_joins_those_that_left(tmp_path):
    _, once, _ = replaced(tmp_path, "gpu02", "gpu04")
    _, twice, _ = replaced(tmp_path, "gpu01", "gpu03", once)
    assert yaml.safe_load(twice)["nodes"][0]["absent"] == "gpu[01-02]" or "gpu02,gpu01" in twice
    assert yaml.safe_load(twice)["deployments"][0]["hosts"] == "gpu[03-04]"


@pytest.mark.parametrize(
    ("name", "spare", "reason"),
    [
        ("gpu02", "l40", "l40 has l40s, gpu02 has h100-sxm"),
        ("gpu02", "l40", "l40 has no fabric, gpu02 has infiniband ndr"),
        ("gpu02", "bare2", "bare2 has 0 GPUs, and ranks use GPU 7"),
        ("gpu02", "gpu01", "gpu01 is in use by pair"),
        ("gpu03", "gpu04", "gpu03 has no rank"),
        ("gpu02", "gpu02", "cannot replace itself"),
        ("gpu02", "gpu09", "gpu09 is no node of this cluster"),
        ("gpu9", "gpu04", "gpu9 is no node of this cluster"),
    ],
)
def test_a_spare_that_does_not_fit_is_refused(tmp_path, name, spare, reason):
    cluster = described(tmp_path)
    with pytest.raises(CannotReplaceError, match=reason):
        check(cluster, locked(cluster), name, spare)


def test_a_spare_that_leaves_is_refused(tmp_path):
    cluster = described(tmp_path, TEXT.replace("# the rack", "\n    absent: gpu04"))
    with pytest.raises(CannotReplaceError, match="gpu04 is leaving the cluster"):
        check(cluster, locked(cluster), "gpu02", "gpu04")


def test_only_hosts_of_the_entry_can_be_absent(tmp_path):
    with pytest.raises(Exception, match="expected some of the hosts of this entry"):
        described(tmp_path, TEXT.replace("# the rack", "\n    absent: gpu09"))
