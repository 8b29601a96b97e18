"""What the playbook for Kubernetes looks for and waits for, from objects as they are rendered."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from renderings import INVENTORIES, as_read, render

FILE = Path(__file__).parents[3] / "plugins" / "filter" / "kubernetes_needs.py"
SPEC = importlib.util.spec_from_file_location("kubernetes_needs", FILE)
assert SPEC is not None
assert SPEC.loader is not None
MODULE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)
needs = MODULE.kubernetes_needs


def objects(inventory: str, target: str) -> list[dict[str, object]]:
    texts = render(as_read(INVENTORIES / inventory, target), target)
    found = [each for text in texts.values() for each in yaml.safe_load_all(text)]
    return [each for each in found if each["kind"] != "Kustomization"]


def test_a_leader_worker_set_that_downloads() -> None:
    found = needs(objects("single-node-fp8", "k8s"))
    assert found["namespaces"] == ["single-node-fp8"]
    assert found["definitions"] == ["leaderworkersets.leaderworkerset.x-k8s.io"]
    assert [each["name"] for each in found["secrets"]] == ["ngc-api-key", "nvcr-io-pull"]
    (wait,) = found["waits"]
    assert wait["condition"] == "Available"
    assert wait["seconds"] == 45 * 60 + 600


def test_a_service_of_the_operator() -> None:
    found = needs(objects("single-node-fp8", "nimservice"))
    assert found["definitions"] == ["nimservices.apps.nvidia.com"]
    assert [each["name"] for each in found["secrets"]] == ["ngc-api-key", "nvcr-io-pull"]
    (wait,) = found["waits"]
    assert (wait["condition"], wait["resource"]) == ("Ready", "nimservices.apps.nvidia.com/llama-405b")
    assert wait["seconds"] == 45 * 60 + 600


def test_something_else_is_refused_with_a_reason() -> None:
    with pytest.raises(AnsibleFilterError, match="no objects of Kubernetes"):
        needs([{"kind": "LeaderWorkerSet"}])
