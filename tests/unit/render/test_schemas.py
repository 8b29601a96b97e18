"""What is rendered holds before the schemas of those who will read it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import celpy
import jsonschema
import kubernetes_validate
import pytest
import yaml
from renderings import CASES, CRDS, INVENTORIES, WORKED, as_read, description, place, render

BUILT_IN = ("1.30", "1.33", "1.36")
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CRD_FILES = {"LeaderWorkerSet": "leaderworkerset.yaml", "NIMService": "nimservice.yaml"}
NIM = ("prod", "single-node-fp8")
needs_crds = pytest.mark.skipif(
    not CRDS.is_dir(), reason=f"the CRDs of LeaderWorkerSet and NIMService are not at {CRDS}"
)


def objects(texts: dict[str, str]) -> list[dict[str, Any]]:
    """All objects but the kustomizations, which no API server sees."""
    found = [each for text in texts.values() for each in yaml.safe_load_all(text)]
    return [each for each in found if each["kind"] != "Kustomization"]


def everything() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of each worked inventory, in both flavours."""
    for inventory in WORKED:
        for target in ("k8s", "nimservice") if inventory in NIM else ("k8s",):
            for each in objects(render(as_read(INVENTORIES / inventory, target), target)):
                yield f"{inventory}/{target}/{each['kind']}/{each['metadata']['name']}", each


OBJECTS = dict(everything())


@cache
def crd(kind: str) -> dict[str, Any]:
    """The schema of a custom resource, closed: unknown fields would be pruned, which is a mistake of ours."""
    (found,) = (
        each
        for each in yaml.load_all((CRDS / CRD_FILES[kind]).read_text(), Loader=LOADER)
        if each and each["spec"]["names"]["kind"] == kind
    )
    (version,) = (each for each in found["spec"]["versions"] if each["storage"])
    schema: dict[str, Any] = deepcopy(version["schema"]["openAPIV3Schema"])
    # An API server knows the fields of metadata itself.
    schema["properties"]["metadata"] = {"type": "object"}
    _close(schema)
    return schema


def _close(schema: dict[str, Any]) -> None:
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("anyOf", None)
        schema["type"] = ["integer", "string"]
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    for each in schema.get("properties", {}).values():
        _close(each)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            _close(schema[key])


def with_defaults(value: Any, schema: dict[str, Any]) -> Any:
    """A value as an API server stores it: with the defaults of the schema."""
    if isinstance(value, dict):
        filled = dict(value)
        for name, each in schema.get("properties", {}).items():
            if name not in filled and "default" in each:
                filled[name] = deepcopy(each["default"])
            if name in filled:
                filled[name] = with_defaults(filled[name], each)
        return filled
    if isinstance(value, list):
        return [with_defaults(each, schema.get("items", {})) for each in value]
    return value


def broken_rules(value: Any, schema: dict[str, Any]) -> list[str]:
    """The CEL rules of a schema that a value breaks; rules about an old value are for updates."""
    broken = []
    for rule in schema.get("x-kubernetes-validations", []):
        if "oldSelf" in rule["rule"]:
            continue
        environment = celpy.Environment()
        program = environment.program(environment.compile(rule["rule"]))
        if not program.evaluate({"self": celpy.json_to_cel(value)}):
            broken.append(rule["rule"])
    if isinstance(value, dict):
        for name, each in schema.get("properties", {}).items():
            if name in value:
                broken += broken_rules(value[name], each)
    if isinstance(value, list):
        for each in value:
            broken += broken_rules(each, schema.get("items", {}))
    return broken


def pods() -> Iterator[dict[str, Any]]:
    """The pods in custom resources: a CRD knows them as one release of Kubernetes does."""
    for each in OBJECTS.values():
        templates = each["spec"].get("leaderWorkerTemplate", {}) if each["kind"] == "LeaderWorkerSet" else {}
        for key in ("leaderTemplate", "workerTemplate"):
            if key in templates:
                pod = templates[key]
                metadata = {"name": "x", **pod["metadata"]}
                yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod["spec"]}


@pytest.mark.parametrize("version", BUILT_IN)
def test_built_in_objects(version: str) -> None:
    built_in = [each for each in OBJECTS.values() if each["kind"] not in CRD_FILES]
    assert len(built_in) > 20
    for each in (*built_in, *pods()):
        kubernetes_validate.validate(each, version, strict=True)
    wrong = deepcopy(built_in[0])
    wrong["metadata"]["label"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, version, strict=True)


@needs_crds
@pytest.mark.parametrize("name", [name for name in OBJECTS if name.split("/")[2] in CRD_FILES])
def test_custom_resources(name: str) -> None:
    schema = crd(OBJECTS[name]["kind"])
    stored = with_defaults(OBJECTS[name], schema)
    jsonschema.validate(stored, schema)
    assert broken_rules(stored, schema) == []


@needs_crds
@pytest.mark.parametrize("contract", sorted(CASES))
def test_custom_resources_of_every_contract(tmp_path: Path, contract: str) -> None:
    texts = render(place(tmp_path, description(contract), "k8s"), "k8s")
    (found,) = (each for each in objects(texts) if each["kind"] == "LeaderWorkerSet")
    jsonschema.validate(with_defaults(found, crd("LeaderWorkerSet")), crd("LeaderWorkerSet"))


@needs_crds
def test_the_schemas_would_notice() -> None:
    schema = crd("NIMService")
    good = next(each for name, each in OBJECTS.items() if name == "prod/nimservice/NIMService/r1")
    wrong = deepcopy(good)
    wrong["spec"]["multiNode"] = {"mpi": {}, "ray": {}, "parallelism": {"pipeline": 2, "tensor": 8}}
    assert broken_rules(with_defaults(wrong, schema), schema) == ["!(has(self.mpi) && has(self.ray))"]
    wrong = deepcopy(good)
    wrong["spec"]["multiNode"]["backend"] = "lws"
    with pytest.raises(jsonschema.ValidationError, match="backend"):
        jsonschema.validate(wrong, schema)
    pod = deepcopy(next(each for name, each in OBJECTS.items() if "/LeaderWorkerSet/" in name))
    pod["spec"]["leaderWorkerTemplate"]["workerTemplate"]["spec"]["toleration"] = []
    with pytest.raises(jsonschema.ValidationError, match="toleration"):
        jsonschema.validate(pod, crd("LeaderWorkerSet"))


@pytest.mark.parametrize("inventory", WORKED)
def test_compose_files(inventory: str) -> None:
    vendored = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(vendored.read_text("utf-8"))
    for text in render(as_read(INVENTORIES / inventory, "compose"), "compose").values():
        found = yaml.safe_load(text)
        jsonschema.validate(found, schema)
        next(iter(found["services"].values()))["imagee"] = "x"
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(found, schema)


@pytest.mark.parametrize("target", ["slurm", "docker"])
@pytest.mark.parametrize("inventory", WORKED)
def test_scripts(inventory: str, target: str) -> None:
    for text in render(as_read(INVENTORIES / inventory, target), target).values():
        shell = re.match(r"#!/bin/(\w+)\n", text)
        assert shell is not None
        subprocess.run([shell[1], "-n"], input=text, text=True, check=True)
        for inner in re.findall(r"<<'(NIMCTL_\w+)' \|\| :\n(.*?)\n\1\n", text, re.DOTALL):
            subprocess.run(["bash", "-n"], input=inner[1], text=True, check=True)


@pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl is not installed: kustomize was not asked"
)
def test_kustomize_takes_the_tree_and_an_overlay_of_it(tmp_path: Path) -> None:
    texts = render(as_read(INVENTORIES / "prod", "k8s"), "k8s")
    for path, text in texts.items():
        file = tmp_path / "base" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    overlay = tmp_path / "kustomization.yaml"
    overlay.write_text("resources: [base]\nnamespace: elsewhere\nlabels: [{pairs: {team: a}}]\n")
    done = subprocess.run(["kubectl", "kustomize", tmp_path], capture_output=True, text=True, check=True)
    found = list(yaml.safe_load_all(done.stdout))
    assert sorted(each["kind"] for each in found) == sorted(each["kind"] for each in objects(texts))
    assert {each["metadata"].get("namespace") for each in found} == {"elsewhere", None}
