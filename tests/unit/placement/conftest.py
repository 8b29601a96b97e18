from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nimctl.description import load
from nimctl.lock import Lock
from nimctl.placement import Placement
from nimctl.resolve import PlacementError, resolve

GPU_NODES = '  - {hosts: "gpu[01-04]", addresses: "10.0.0.[1-4]", gpu: {model: h100-sxm, count: 8}}\n'
PLAIN_NODES = '  - {hosts: "node[1-4]", addresses: "10.0.1.[1-4]", gpu: {count: 0}}\n'
IMAGE = "registry.lab:5000/rehearsal:1"

Place = Callable[..., Placement]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Place deployments, given as flow mappings, on nodes (default: four with 8 GPUs)."""

    def _place(
        *deployments: str, nodes: str = GPU_NODES, lock: Lock | None = None, rest: str = ""
    ) -> Placement:
        text = f"plugin: nimctl.multinode.cluster\nname: test\nnodes:\n{nodes}"
        if deployments:
            text += "deployments:\n"
        for deployment in deployments:
            image = "" if "image:" in deployment else f", image: '{IMAGE}'"
            engine = "" if "engine:" in deployment else ", engine: rehearsal"
            text += f"  - {{model: m{image}{engine}, {deployment}}}\n"
        (tmp_path / "cluster.yml").write_text(text + rest, encoding="utf-8")
        return resolve(load(tmp_path), lock)

    return _place


@pytest.fixture
def rejected(place: Place) -> Callable[..., dict[str, str]]:
    """What is wrong with deployments: fields to messages."""

    def _rejected(*deployments: str, **options: object) -> dict[str, str]:
        with pytest.raises(PlacementError) as caught:
            place(*deployments, **options)
        problems = caught.value.problems
        return {".".join(map(str, problem.field[1:])): problem.message for problem in problems}

    return _rejected
