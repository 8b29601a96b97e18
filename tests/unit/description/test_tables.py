"""The tables of hardware and of reserved names, and the JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from nimctl.description import examine, load, reserved, schema
from nimctl.description.hardware import shipped

ROOT = Path(__file__).parents[3]
MINIMAL = (
    "plugin: nimctl.multinode.cluster\nname: small\nnodes:\n  - {hosts: n1, gpu: {model: mine-1, count: 2}}\n"
)
ROW = "mine-1: {description: Mine, generation: own, memory_mib: 1024, link: pcie, source: a datasheet}\n"


def test_the_gpus_that_people_have_are_there():
    wanted = {
        "a100-sxm-40",
        "a100-sxm-80",
        "b200",
        "b300",
        "gb200",
        "gh200",
        "h100-pcie",
        "h100-sxm",
        "h20",
        "h200-sxm",
        "l40s",
        "rtx-pro-6000",
        "stand-in",
    }
    assert wanted <= set(shipped().gpus)
    assert {"hdr", "ndr", "xdr", "1g", "100g", "200g", "400g", "800g"} <= set(shipped().rates)


def test_rates_grow_with_their_names():
    for name, row in shipped().rates.items():
        if name.endswith("g"):
            assert row.gbps == int(name[:-1])


def test_a_user_adds_rows_without_touching_code(written):
    folder = written(MINIMAL)
    assert "unknown GPU model" in examine(folder).problems[0].message
    (folder / "gpus.yml").write_text(f"plugin: nimctl.multinode.cluster\n{ROW}")
    assert load(folder).gpu_models["mine-1"].memory_mib == 1024
    (folder / "fabrics.yml").write_text(
        "plugin: nimctl.multinode.cluster\n1600g: {kinds: [ethernet], gbps: 1600, source: the future}\n"
    )
    entry = "gpu: {model: mine-1, count: 2}"
    written(MINIMAL.replace(entry, f"{entry}, fabric: {{kind: ethernet, rate: 1600g}}"))
    assert load(folder).nodes[0].fabric.rate == "1600g"


@pytest.mark.parametrize(
    ("table", "begins"),
    [
        (ROW, "gpus.yml:1:1: plugin: found nothing, expected `plugin: nimctl.multinode.cluster`"),
        ("- a\n", "gpus.yml:1:1: found a list of 1, expected a mapping"),
        (ROW.replace("pcie", "pci"), 'gpus.yml:2:70: mine-1.link: found the text "pci", expected'),
        (
            ROW.replace("memory_mib: 1024, ", ""),
            "gpus.yml:2:9: mine-1.memory_mib: found nothing, expected a value",
        ),
        (ROW.replace("memory_mib", "memory_mb"), "gpus.yml:2:"),
        ("a: [\n", "gpus.yml:3:1: not YAML"),
    ],
)
def test_a_users_table_is_checked_like_the_description(written, table, begins):
    folder = written(MINIMAL)
    prefix = (
        ""
        if begins.startswith("gpus.yml:1:1: plugin") or table.startswith("-")
        else ("plugin: nimctl.multinode.cluster\n")
    )
    (folder / "gpus.yml").write_text(prefix + table)
    said = [str(problem).removeprefix(f"{folder}/") for problem in examine(folder).problems]
    assert any(line.startswith(begins) for line in said), said


def test_reserved_names_are_what_the_contracts_set():
    """Whatever a contract gives to a rank by its number, the size or the leader may not be set by hand."""
    missing = []
    for file in (ROOT / "src/nimctl/contracts").glob("*.yml"):
        for variable in yaml.safe_load(file.read_text()).get("environment", []):
            carries = ("{rank}", "{nodes}", "{leader", "{tensor}", "{pipeline}")
            given = any(field in str(variable.get("value", "")) for field in carries)
            if given and reserved.environment().reason(variable["name"]) is None:
                missing.append(f"{file.stem}: {variable['name']}")
    assert not missing


def test_the_schema_is_current():
    assert schema.main(["--check"]) == 0, "run python -m nimctl.description.schema"


def test_the_schema_accepts_the_worked_inventories_and_refuses_mistakes(sound):
    described = json.loads(schema.FILE.read_text())
    jsonschema.Draft202012Validator.check_schema(described)
    validator = jsonschema.Draft202012Validator(described)
    for name in ("prod", "prod-lustre-405b", "single-node-fp8", "mixed"):
        validator.validate(yaml.safe_load((ROOT / "inventories" / name / "cluster.yml").read_text()))
    for old, new in (
        ("kind: nfs", "kind: nsf"),
        ("count: 8", "count: '8'"),
        ("name: test", "name: Test"),
        ("mount:", "muont:"),
    ):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(yaml.safe_load(sound.replace(old, new)))


def test_a_stale_schema_is_noticed_and_written_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(schema, "FILE", tmp_path / "cluster.schema.json")
    assert schema.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert schema.main([]) == 0
    assert schema.main(["--check"]) == 0
