"""A sound description and a way to change it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nimctl.cluster import Cluster
from nimctl.description import load
from nimctl.errors import DescriptionError, Problem

SOUND = """\
plugin: nimctl.multinode.cluster
name: test
nodes:
  - hosts: "gpu[01-02]"
    addresses: "10.0.0.[1-2]"
    gpu: {model: h100-sxm, count: 8}
    fabric: {kind: infiniband, rate: ndr, interface: ib0, addresses: "10.1.0.[1-2]"}
  - hosts: store01
    addresses: 10.0.0.10
    gpu: {count: 0}
storage:
  - {kind: nfs, server: store01, export: /srv/models, mount: /models}
deployments:
  - name: r1
    model: deepseek-ai/deepseek-r1
    engine: nim
    contract: nim1-env
    image: nvcr.io/nim/deepseek-ai/deepseek-r1:1.7.3
    weights: {source: ngc, path: /models/r1}
    hosts: "gpu[01-02]"
    parallel: {tensor: 8, pipeline: 2}
    env: {NCCL_DEBUG: INFO}
    args: [--quiet]
secrets:
  ngc_api_key: {env: NGC_API_KEY}
"""


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Writes a description and returns its folder."""

    def write(text: str | bytes) -> Path:
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "cluster.yml").write_bytes(content)
        return tmp_path

    return write


@pytest.fixture
def loaded(written: Callable[[str | bytes], Path]) -> Callable[[str | bytes], Cluster]:
    """Loads a description from its text."""
    return lambda text: load(written(text))


@pytest.fixture
def rejected(written: Callable[[str | bytes], Path]) -> Callable[[str | bytes], tuple[Problem, ...]]:
    """The problems of a description that must be rejected."""

    def problems(text: str | bytes) -> tuple[Problem, ...]:
        with pytest.raises(DescriptionError) as caught:
            load(written(text))
        assert caught.value.exit_code == 2
        return caught.value.problems

    return problems


@pytest.fixture
def sound() -> str:
    """A description without a mistake."""
    return SOUND


@pytest.fixture
def changed() -> Callable[[str, str], str]:
    """The sound description with one text, which occurs once, replaced by another."""

    def change(old: str, new: str) -> str:
        assert SOUND.count(old) == 1, old
        return SOUND.replace(old, new)

    return change
