from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from importlib import resources

import pytest

SOURCE = resources.files("nimctl.lab").joinpath("data", "runc_lab.py")
ALL = (1 << 41) - 1
UNLIMITED = 18446744073709551615


@pytest.fixture(scope="module")
def wrapper():
    specification = importlib.util.spec_from_file_location("runc_lab", str(SOURCE))
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def poor(**changes):
    """A machine that may not raise limits, with the hybrid cgroup hierarchy."""
    limits = {"RLIMIT_NOFILE": 20000, "RLIMIT_MEMLOCK": 8388608, "RLIMIT_STACK": -1}
    host = {"bounding": ALL & ~(1 << 24), "limits": limits, "oom_score": 0, "cgroup_v2": False}
    return {**host, **changes}


def container():
    return {
        "process": {
            "args": ["sleep", "1"],
            "oomScoreAdj": -500,
            "capabilities": {
                "bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_IPC_LOCK"],
                "effective": ["CAP_SYS_RESOURCE"],
            },
            "rlimits": [
                {"type": "RLIMIT_NOFILE", "hard": 1048576, "soft": 1024},
                {"type": "RLIMIT_MEMLOCK", "hard": UNLIMITED, "soft": UNLIMITED},
                {"type": "RLIMIT_STACK", "hard": 67108864, "soft": 67108864},
            ],
        },
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
    }


def test_what_the_machine_refuses_is_lowered_and_said(wrapper):
    config = container()
    said = wrapper.clamp_container(config, poor())
    process = config["process"]
    assert process["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "hard": 20000, "soft": 1024},
        {"type": "RLIMIT_MEMLOCK", "hard": 8388608, "soft": 8388608},
        {"type": "RLIMIT_STACK", "hard": 67108864, "soft": 67108864},
    ]
    assert process["oomScoreAdj"] == 0
    assert process["capabilities"] == {"bounding": ["CAP_CHOWN", "CAP_IPC_LOCK"], "effective": []}
    assert {"type": "cgroup"} in config["linux"]["namespaces"]
    assert said == [
        "RLIMIT_NOFILE hard 1048576 -> 20000",
        f"RLIMIT_MEMLOCK hard {UNLIMITED} -> 8388608",
        f"RLIMIT_MEMLOCK soft {UNLIMITED} -> 8388608",
        "oomScoreAdj -500 -> 0",
        "capability CAP_SYS_RESOURCE dropped",
        "cgroup namespace added",
    ]


def test_a_machine_that_grants_everything_changes_nothing(wrapper):
    config = container()
    assert wrapper.clamp_container(config, poor(bounding=ALL, cgroup_v2=True)) == []
    assert config == container()


def test_an_existing_cgroup_namespace_stays_the_only_one(wrapper):
    config = container()
    config["linux"]["namespaces"].append({"type": "cgroup"})
    wrapper.clamp_container(config, poor())
    assert [entry["type"] for entry in config["linux"]["namespaces"]].count("cgroup") == 1


def test_sparse_definitions_are_fine(wrapper):
    config = {"process": {"args": ["true"], "capabilities": {"ambient": None}, "rlimits": None}}
    assert wrapper.clamp_container(config, poor()) == ["cgroup namespace added"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "--bundle", "/b", "id"],
        ["--root", "/r", "create", "--bundle=/b", "id"],
        ["run", "-b", "/b", "id"],
    ],
)
def test_the_bundle_is_found_however_it_is_given(wrapper, arguments):
    assert wrapper.option(arguments, ("--bundle", "-b")) == "/b"


def test_as_a_program_it_rewrites_the_bundle_logs_and_becomes_runc(tmp_path):
    runc = tmp_path / "runc"
    runc.write_text('#!/bin/sh\necho "runc $*"\n')
    runc.chmod(0o755)
    log = tmp_path / "clamps.log"
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    config = container()
    config["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "hard": 1 << 40, "soft": 1 << 40}]
    (bundle / "config.json").write_text(json.dumps(config))
    script = tmp_path / "runc-lab"
    text = SOURCE.read_text().replace("/usr/local/libexec/nimctl-lab/runc", str(runc))
    # The bounding set of whoever runs the tests may have everything: this one has nothing.
    text = text.replace('int(status.split("CapBnd:")[1].split()[0], 16)', "0")
    script.write_text(text.replace("/var/log/runc-lab.log", str(log)))
    done = subprocess.run(
        [sys.executable, script, "create", "--bundle", bundle, "id"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"runc create --bundle {bundle} id\n"
    clamped = json.loads((bundle / "config.json").read_text())
    assert clamped["process"]["rlimits"][0]["hard"] < 1 << 40
    assert clamped["process"]["args"] == ["sleep", "1"]
    assert "RLIMIT_NOFILE hard" in log.read_text()
