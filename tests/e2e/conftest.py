"""Fixtures of the end-to-end tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from labs import Installation, Lab, clone, start_lab, wheel


@pytest.fixture(scope="session", autouse=True)
def _machine() -> None:
    if os.geteuid() != 0:
        pytest.skip("labs need root")
    if not shutil.which("podman") and not shutil.which("docker"):
        pytest.skip("labs need podman or docker: make setup installs one")


@pytest.fixture(scope="module", params=["clone", pytest.param("wheel", marks=pytest.mark.slow)])
def installation(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The command from this clone, and from the wheel in an environment of its own."""
    return clone() if request.param == "clone" else wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def two_nodes(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two bare nodes."""
    yield from start_lab(installation, tmp_path_factory.mktemp("lab"), "--nodes", "2")


@pytest.fixture(scope="module")
def four_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Four bare nodes, from the clone."""
    yield from start_lab(clone(), tmp_path_factory.mktemp("lab"), "--nodes", "4")
