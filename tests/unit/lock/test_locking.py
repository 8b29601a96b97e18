"""What belongs into a lock, what moves it, and what the command says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nimctl.cli import app as application
from nimctl.cli import lock as verb
from nimctl.cluster import Cluster
from nimctl.errors import RejectedError
from nimctl.fabrics import completed
from nimctl.inventory import compose, read
from nimctl.lock import Attachment, Lock, read_lock, write_lock
from nimctl.locking import plan

IMAGE = "registry.lab:5000/rehearsal:1"
NODES = 'nodes:\n  - {hosts: "node[1-4]", addresses: "10.0.0.[1-4]", gpu: {count: 0}}\n'
A = f"  - {{name: a, model: m, engine: rehearsal, image: '{IMAGE}', parallel: {{pipeline: 2}}}}\n"
B = "  - {name: b, model: m, engine: rehearsal, image: 'registry.lab:5000/other:1', port: 8001}\n"


def digest(letter: str) -> str:
    return "sha256:" + letter * 64


class Registry:
    """Digests by image, and what was asked."""

    def __init__(self, letter: str = "a") -> None:
        self.letter = letter
        self.asked: list[str] = []

    def __call__(self, cluster: Cluster, image: str) -> str:
        self.asked.append(image)
        return digest(self.letter)


Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(*deployments: str, nodes: str = NODES) -> Path:
        text = f"plugin: nimctl.multinode.cluster\nname: lab\n{nodes}deployments:\n{''.join(deployments)}"
        (tmp_path / "cluster.yml").write_text(text, encoding="utf-8")
        return tmp_path

    return _write


def test_what_is_missing_is_added(write: Write) -> None:
    registry = Registry()
    found = plan(write(A), registry)
    assert [str(change) for change in found.changes] == [
        f"+ image {IMAGE}: {digest('a')}",
        "+ deployment a, replica 0: node1, node2; rendezvous 29600, supervisor 29900",
    ]
    assert found.write()
    assert registry.asked == [IMAGE]


def test_what_is_locked_stays_although_the_tag_moved(write: Write) -> None:
    plan(write(A), Registry("a")).write()
    registry = Registry("b")
    again = plan(write(A, B), registry)
    assert registry.asked == ["registry.lab:5000/other:1"]
    assert again.after.images[IMAGE] == digest("a")
    assert [change.what for change in again.changes] == [
        "image registry.lab:5000/other:1",
        "deployment b, replica 0",
    ]


@pytest.mark.parametrize(
    ("what", "moved"),
    [
        ({"images"}, ["image registry.lab:5000/other:1", f"image {IMAGE}"]),
        ({"placement"}, ["deployment a, replica 0", "deployment b, replica 0"]),
        ({"b"}, ["image registry.lab:5000/other:1"]),
        ({"a"}, [f"image {IMAGE}"]),
        (
            {"a", "b"},
            [
                "deployment a, replica 0",
                "deployment b, replica 0",
                "image registry.lab:5000/other:1",
                f"image {IMAGE}",
            ],
        ),
    ],
)
def test_only_what_is_named_moves(write: Write, what: set[str], moved: list[str]) -> None:
    # b was placed when a was not there yet, so that placing both anew moves both.
    plan(write(B), Registry("a")).write()
    plan(write(A, B), Registry("a")).write()
    found = plan(write(A, B), Registry("b"), upgrade=frozenset(what))
    assert sorted(change.what for change in found.changes) == sorted(moved)
    assert all(change.before is not None for change in found.changes)


def test_what_is_gone_from_the_description_leaves_the_lock(write: Write) -> None:
    plan(write(A, B), Registry()).write()
    found = plan(write(A), Registry())
    assert [str(change)[0] for change in found.changes] == ["-", "-"]
    assert set(found.after.placement) == {"a"}


def test_a_digest_in_the_description_needs_no_lock(write: Write) -> None:
    registry = Registry()
    found = plan(write(A.replace(IMAGE, f"{IMAGE}@{digest('c')}")), registry)
    assert registry.asked == []
    assert dict(found.after.images) == {}
    assert found.placement.ranks[0].image == f"registry.lab:5000/rehearsal@{digest('c')}"


def test_a_person_may_state_a_digest(write: Write) -> None:
    registry = Registry()
    found = plan(write(A), registry, given={IMAGE: digest("d")})
    assert registry.asked == []
    assert found.after.images == {IMAGE: digest("d")}
    with pytest.raises(RejectedError, match="no deployment has this image"):
        plan(write(A), registry, given={"x": digest("d")})
    with pytest.raises(RejectedError, match="64 hexadecimal"):
        plan(write(A), registry, given={IMAGE: "latest"})


def test_upgrade_of_something_unknown(write: Write) -> None:
    with pytest.raises(
        RejectedError, match=r"expected one of images, placement, stack, nodes, driver, .*, a"
    ):
        plan(write(A), Registry(), upgrade=frozenset({"r9"}))


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, with a registry that answers with one letter."""
    if not any(info.callback is verb.lock for info in application.registered_commands):
        verb.register(application)

    def _run(*arguments: str, letter: str = "a") -> tuple[int, str]:
        monkeypatch.setattr(verb, "_lookup", Registry(letter))
        result = CliRunner().invoke(application, ["lock", *arguments])
        assert result.exception is None or isinstance(result.exception, (SystemExit, RejectedError))
        code = 2 if isinstance(result.exception, RejectedError) else result.exit_code
        return code, result.stdout

    return _run


def test_the_command(write: Write, run: Run) -> None:
    folder = str(write(A))
    assert run("-i", folder, "--check")[0] == 1
    assert read_lock(Path(folder)) is None
    code, output = run("-i", folder)
    assert code == 0
    assert output.index("+ image") < output.index("wrote ")
    assert run("-i", folder, "--check")[0] == 0
    code, output = run("-i", folder, letter="b")
    assert (code, "nothing to do" in output) == (0, True)
    code, output = run("-i", folder, "--upgrade", "--check", letter="b")
    assert code == 1
    assert f"~ image {IMAGE}: {digest('a')} -> {digest('b')}" in output
    code, output = run("-i", folder, "--upgrade", "images", "--format", "json", letter="b")
    result = json.loads(output)
    assert code == 0
    assert result["changed"] is True
    assert result["complete"] is True
    assert result["images"] == {IMAGE: digest("b")}
    assert run("-i", folder, "images")[0] == 2
    assert run("-i", folder, "--upgrade", "nothing")[0] == 2
    assert run("-i", folder, "--image", "nonsense")[0] == 2


FABRIC = "fabric: {kind: infiniband, rate: ndr}"
ATTACHED = Lock(nodes={"node1": Attachment(("mlx5_0", "mlx5_1"), "ib0"), "node9": Attachment(("mlx5_0",))})


def with_fabric(fabric: str = FABRIC) -> str:
    return NODES.replace("gpu: {count: 0}}", f"gpu: {{count: 0}}, {fabric}}}")


def test_what_was_found_on_a_node_reaches_inventory_and_ranks(write: Write) -> None:
    folder = write(A, nodes=with_fabric())
    write_lock(folder, ATTACHED)
    placement = read(folder)
    assert compose(placement)["_meta"]["hostvars"]["node1"]["nim_fabric"]["hcas"] == ["mlx5_0", "mlx5_1"]
    assert compose(placement)["_meta"]["hostvars"]["node2"]["nim_fabric"]["hcas"] == []
    assert placement.cluster.nodes[0].fabric.interface == "ib0"


def test_what_the_description_names_wins_over_what_was_found(write: Write) -> None:
    folder = write(
        A, nodes=with_fabric("fabric: {kind: infiniband, rate: ndr, hcas: [mlx5_7], interface: ib7}")
    )
    write_lock(folder, ATTACHED)
    assert read(folder).cluster.nodes[0].fabric.hcas == ("mlx5_7",)
    assert read(folder).cluster.nodes[0].fabric.interface == "ib7"
    assert plan(folder, Registry()).after.nodes == {}


def test_what_was_found_stays_until_it_is_asked_to_move(write: Write) -> None:
    folder = write(A, nodes=with_fabric())
    write_lock(folder, ATTACHED)
    found = plan(folder, Registry())
    assert found.after.nodes == {"node1": ATTACHED.nodes["node1"]}
    assert "- node node9: HCAs mlx5_0" in map(str, found.changes)
    found.write()
    moved = plan(folder, Registry(), upgrade=frozenset({"nodes"}))
    assert [str(change) for change in moved.changes] == ["- node node1: HCAs mlx5_0, mlx5_1; interface ib0"]
    assert moved.after.nodes == {}


def test_a_later_finding_completes_and_moves_nothing() -> None:
    before = {"node1": Attachment(("mlx5_0",))}
    after = completed(before, {"node1": Attachment(("mlx5_9",), "ib0"), "node2": Attachment()})
    assert after == {"node1": Attachment(("mlx5_0",), "ib0")}
