import textwrap
from pathlib import Path

import pytest

from nimctl.run.target import Target, load

DESCRIPTION = """
    plugin: nimctl.multinode.cluster
    name: demo
    connection: {user: ubuntu, port: 2222, key: id_ed25519}
    stack:
      container_engine:
        engine: podman
        registries: [{host: "registry.lab:5000", password: pull_key}]
    nodes:
      - hosts: "node[1-3]"
        addresses: "10.89.72.[11-13]"
        gpu: {count: 0}
    deployments:
      - name: tiny
        model: tiny-model
        engine: rehearsal
        image: registry.lab:5000/rehearsal:1
        hosts: "node[1-2]"
        parallel: {pipeline: 2}
      - name: solo
        model: other
        served_name: solo-name
        engine: rehearsal
        image: registry.lab:5000/rehearsal:1
        hosts: node3
        port: 8100
    secrets:
      pull_key: {env: PULL_KEY}
      ngc_api_key: {env: NGC_API_KEY}
"""


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    """The folder of a small cluster: a replica of two ranks, and one of one rank."""
    folder = tmp_path / "inventory"
    folder.mkdir()
    (folder / "cluster.yml").write_text(textwrap.dedent(DESCRIPTION))
    return folder


@pytest.fixture
def target(inventory: Path) -> Target:
    return load(inventory)
