"""Every rank of a 2-node and a 4-node replica, exactly, for every contract."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from nimctl.contracts import builtin


def _golden() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden", Path(__file__).with_name("golden.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GOLDEN = _golden()


def test_every_contract_has_its_files() -> None:
    assert set(GOLDEN.CASES) == set(builtin())
    wanted = {f"{contract}-{nodes}.yml" for contract in builtin() for nodes in (2, 4)}
    assert {file.name for file in GOLDEN.FOLDER.iterdir()} == wanted


@pytest.mark.parametrize("nodes", [2, 4])
@pytest.mark.parametrize("contract", sorted(GOLDEN.CASES))
def test_ranks_are_exactly_these(contract: str, nodes: int) -> None:
    file = GOLDEN.FOLDER / f"{contract}-{nodes}.yml"
    assert GOLDEN.render(contract, nodes) == file.read_text(encoding="utf-8"), (
        "if this change is intended: .venv/bin/python tests/unit/contracts/golden.py, and read the difference"
    )
    assert len(yaml.safe_load(file.read_text(encoding="utf-8"))["ranks"]) == nodes
