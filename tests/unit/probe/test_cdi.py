import json
import sys

import pytest
import yaml
from ansible_collections.nimctl.multinode.plugins.module_utils.host import cdi

NVRM = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.126.20  Release Build\n"
NODES = "/dev/nvidia0 195 0\n/dev/nvidia-uvm 511 0\n"
SPEC = {
    "cdiVersion": "0.7.0",
    "kind": "nvidia.com/gpu",
    "containerEdits": {
        "deviceNodes": [{"path": "/dev/nvidia-uvm", "major": 511, "minor": 0}],
        "mounts": [
            {"hostPath": "/usr/lib/libcuda.so.580.126.20", "containerPath": "/usr/lib/libcuda.so.580.126.20"},
            {"hostPath": "/run/nvidia-persistenced/socket", "containerPath": "/x"},
        ],
    },
    "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0"}]}}],
}


def host(tree, spec, name="nvidia.json", nodes=NODES, folder="/etc/cdi", **more):
    """What is found of one specification, and the problems."""
    text = spec if isinstance(spec, str) else json.dumps(spec)
    recorded = tree(
        {
            f"{folder}/{name}": text,
            "/listings/nodes": nodes,
            "/proc/driver/nvidia/version": NVRM,
            "/usr/lib/libcuda.so.580.126.20": "",
            **more,
        }
    )
    return cdi.read(recorded), recorded.problems


def changed(**edits):
    return {**SPEC, "containerEdits": {**SPEC["containerEdits"], **edits}}


@pytest.mark.parametrize("name", ["nvidia.json", "nvidia.yaml", "nvidia.yml"])
@pytest.mark.parametrize("folder", ["/etc/cdi", "/var/run/cdi"])
def test_a_specification_that_fits(tree, name, folder):
    text = json.dumps(SPEC) if name.endswith("json") else yaml.safe_dump(SPEC)
    found, problems = host(tree, text, name, folder=folder)
    assert found == [
        {
            "path": f"{folder}/{name}",
            "kind": "nvidia.com/gpu",
            "version": "0.7.0",
            "driver": "580.126.20",
            "devices": ["0"],
            "stale": [],
        }
    ]
    assert problems == []


def test_var_run_may_be_a_link_that_a_tree_does_not_have(tree):
    found, _ = host(tree, SPEC, folder="/run/cdi")
    assert [spec["path"] for spec in found] == ["/var/run/cdi/nvidia.json"]


@pytest.mark.parametrize(
    ("spec", "nodes", "stale"),
    [
        (SPEC, NODES.replace("511", "509"), "/dev/nvidia-uvm is 509:0, and the specification says 511:0"),
        (SPEC, "/dev/nvidia-uvm 511 0\n", "/dev/nvidia0 does not exist"),
        (
            changed(mounts=[{"hostPath": "/usr/lib/libcuda.so.570.211.01"}]),
            NODES,
            "it names files of driver 570.211.01, and 580.126.20 is loaded",
        ),
        (changed(mounts=[{"hostPath": "/usr/lib/gone"}]), NODES, "/usr/lib/gone does not exist"),
        (
            changed(hooks=[{"path": "/usr/bin/nvidia-cdi-hook"}]),
            NODES,
            "/usr/bin/nvidia-cdi-hook does not exist",
        ),
        (
            changed(deviceNodes=[{"path": "/dev/in", "hostPath": "/dev/out", "major": 1, "minor": 2}]),
            NODES,
            "/dev/out does not exist",
        ),
    ],
)
def test_what_is_stale_is_named(tree, spec, nodes, stale):
    found, _ = host(tree, spec, nodes=nodes)
    assert stale in found[0]["stale"]


def test_few_stale_things_are_named_and_the_others_counted(tree):
    found, _ = host(tree, changed(mounts=[{"hostPath": f"/gone/{number}"} for number in range(20)]))
    assert len(found[0]["stale"]) == 6
    assert found[0]["stale"][-1] == "and 15 more"


def test_yaml_that_our_reader_does_not_know_is_read_by_pyyaml(tree):
    found, problems = host(tree, "kind: &k nvidia.com/gpu\nother: *k\n", "nvidia.yaml")
    assert (found[0]["kind"], problems) == ("nvidia.com/gpu", [])


def test_without_pyyaml_such_a_file_is_a_problem(tree, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    found, problems = host(tree, "kind: &k nvidia.com/gpu\n", "nvidia.yaml")
    assert found == []
    assert problems == [
        "/etc/cdi/nvidia.yaml cannot be read: line 1: &k nvidia.com/gpu; "
        "the Python of this host has no PyYAML to read all of YAML"
    ]


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("x.json", "{", "Expecting property name"),
        ("x.json", "[1]", "it holds no mapping"),
        ("x.yaml", "a: [", "expected"),
    ],
)
def test_a_broken_file_is_a_problem_and_no_crash(tree, name, text, why):
    found, problems = host(tree, text, name)
    assert found == []
    assert problems[0].startswith(f"/etc/cdi/{name} cannot be read: ")
    assert why in problems[0]


@pytest.mark.parametrize(
    "spec",
    [
        {"containerEdits": [], "devices": {"0": 1}},
        {"containerEdits": {"mounts": [None], "deviceNodes": "x", "hooks": [{}]}, "devices": [{"name": 0}]},
    ],
)
def test_a_file_of_other_shape_is_no_crash(tree, spec):
    found, problems = host(tree, spec)
    assert (found[0]["kind"], problems) == ("", [])


def test_files_on_a_mount_that_does_not_answer_are_not_touched(tree):
    recorded = tree(
        {"/etc/cdi/x.json": json.dumps(changed(mounts=[{"hostPath": "/frozen/x"}]))}, unanswering=("/frozen",)
    )
    assert not any("frozen" in text for text in cdi.read(recorded)[0]["stale"])
