"""What works has no finding: what nimctl renders; and no error in LeaderWorkerSet's own examples."""

from __future__ import annotations

from pathlib import Path

import pytest
import rendered
from renderings import CASES, INVENTORIES, as_read, description, place, render

from nimctl.inventory import read
from nimctl.lint.check import Text, check, recognise
from nimctl.render import docker

FIXTURES = Path(__file__).parents[2] / "fixtures" / "lint"


def known(texts: dict[str, str]) -> list[Text]:
    found = [recognise(path, text) for path, text in texts.items() if "kustomization" not in path]
    assert None not in found
    return [each for each in found if each is not None]


@pytest.mark.parametrize(("inventory", "target"), rendered.CASES)
def test_rendered_inventories_are_clean(inventory: str, target: str) -> None:
    texts = known(render(as_read(INVENTORIES / inventory, target), target))
    assert [str(each) for each in check(texts)] == []


@pytest.mark.parametrize("target", ["k8s", "slurm", "compose", "docker"])
@pytest.mark.parametrize("contract", sorted(CASES))
def test_every_contract_is_clean(tmp_path: Path, contract: str, target: str) -> None:
    texts = known(render(place(tmp_path, description(contract), target), target))
    assert [str(each) for each in check(texts)] == []


@pytest.mark.parametrize("name", ["upstream-vllm.yaml", "upstream-sglang.yaml"])
def test_upstream_examples_have_no_error(name: str) -> None:
    text = recognise(name, (FIXTURES / name).read_text(encoding="utf-8"))
    assert text is not None
    findings = check([text])
    assert [str(each) for each in findings if each.severity == "error"] == []
    # What they leave out for brevity is still told.
    assert {"rdma-missing", "disruption-budget-missing"} <= {each.rule for each in findings}


def test_a_moving_tag_that_no_lock_pins_is_still_told() -> None:
    """The inventory names `latest` to show what the lock is for; without one it stays."""
    texts = known(docker.render(read(INVENTORIES / "single-node-fp8")))
    assert {each.rule for each in check(texts)} == {"image-floating-tag"}
