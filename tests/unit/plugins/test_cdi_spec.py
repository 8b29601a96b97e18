"""When a CDI specification is written anew, by whom, and what becomes of old hooks."""

import json

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils import cdi_spec
from ansible_collections.nimctl.multinode.plugins.module_utils.errors import NodeError
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

KIND = "nvidia.com/gpu"
LOADED = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.178.04  Release Build\n"


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    """The programs that are installed; a test takes some away."""
    there = {"docker", "nvidia-ctk"}
    monkeypatch.setattr(cdi_spec.shutil, "which", lambda name: f"/usr/bin/{name}" if name in there else None)
    return there


@pytest.fixture
def node(tmp_path):
    """A recorded node with two GPUs, and a function that writes a specification on it."""
    (tmp_path / "listings").mkdir()
    (tmp_path / "listings/nodes").write_text(
        "/dev/nvidia0 195 0\n/dev/nvidia1 195 1\n/dev/nvidiactl 195 255\n"
    )
    (tmp_path / "proc/driver/nvidia").mkdir(parents=True)
    (tmp_path / "proc/driver/nvidia/version").write_text(LOADED)

    def write(path="/etc/cdi/nvidia.yaml", gpus=(0, 1), version="0.5.0", library="", **node):
        devices = [
            {"name": str(n), "containerEdits": {"deviceNodes": [{"path": f"/dev/nvidia{n}", **node}]}}
            for n in gpus
        ]
        mounts = [{"hostPath": library, "containerPath": library}] if library else []
        edits = {"deviceNodes": [{"path": "/dev/nvidiactl"}], "mounts": mounts}
        document = {"cdiVersion": version, "kind": KIND, "devices": devices, "containerEdits": edits}
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(document))

    write.tree = lambda: Tree(root=str(tmp_path), kernel=str(tmp_path))
    write.folder = tmp_path
    return write


def test_a_specification_that_fits_is_left_alone(node):
    # Written as JSON, which is YAML as well.
    node()
    found = cdi_spec.look(node.tree(), KIND)
    assert found.wrong == []
    assert found.effective["devices"] == ["0", "1"]


def test_none_is_wrong(node):
    assert cdi_spec.look(node.tree(), KIND).wrong == ["there is none"]


def test_one_that_cannot_be_read_is_wrong_and_said(node):
    file = node.folder / "var/run/cdi/nvidia.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    (wrong,) = cdi_spec.look(node.tree(), KIND).wrong
    assert wrong.startswith("/var/run/cdi/nvidia.yaml cannot be read")


def test_device_numbers_are_compared_with_those_of_the_node(node):
    node(gpus=(0,), major=194, minor=0)
    wrong = cdi_spec.look(node.tree(), KIND).wrong
    assert "/dev/nvidia0 is 195:0, and the specification says 194:0" in wrong


def test_a_gpu_that_is_missing_in_it_is_noticed(node):
    node(gpus=(0,))
    assert cdi_spec.look(node.tree(), KIND).wrong == ["it has 1 GPUs, and the node has 2"]


def test_files_of_another_driver_are_noticed(node):
    node(library="/usr/lib/x86_64-linux-gnu/libcuda.so.570.211.01")
    wrong = cdi_spec.look(node.tree(), KIND).wrong
    assert "it names files of driver 570.211.01, and 580.178.04 is loaded" in wrong


def test_one_that_an_engine_cannot_read_is_wrong(node):
    node(version="0.7.0")
    assert cdi_spec.look(node.tree(), KIND).wrong == []
    assert cdi_spec.look(node.tree(), KIND, below="0.7.0").wrong == [
        "it is of version 0.7.0, and an engine here reads those below 0.7.0"
    ]


def test_what_lies_below_run_hides_what_lies_below_etc(node):
    node("/etc/cdi/nvidia.yaml", gpus=(0, 1, 2))
    node("/var/run/cdi/nvidia.yaml")
    found = cdi_spec.look(node.tree(), KIND)
    assert found.wrong == []
    assert found.hidden[0]["path"] == "/etc/cdi/nvidia.yaml"
    assert found.hidden[0]["stale"]


class Commands:
    """Answers of commands by their first two words; others succeed and say nothing."""

    def __init__(self, **answers):
        self.answers = answers
        self.calls = []

    def __call__(self, command):
        self.calls.append(command)
        return self.answers.get("_".join(command[:2]).replace("-", "_"), (0, "", ""))


def unit(**state):
    """What systemctl show answers for any unit, and no other command says anything."""
    state = {"LoadState": "loaded", "UnitFileState": "enabled", "ActiveState": "active", **state}
    lines = "".join(f"{name}={value}\n" for name, value in state.items())
    return Commands(systemctl_show=(0, lines, ""))


def test_the_unit_of_the_package_writes_it_where_there_is_one():
    renewal = cdi_spec.Renewal(unit(), "nvidia-cdi-refresh", [])
    assert renewal.by_unit()
    assert renewal.did == ["systemctl restart nvidia-cdi-refresh.service"]


def test_without_the_unit_nvidia_ctk_writes_it_with_the_same_flags(monkeypatch, tmp_path):
    monkeypatch.setattr(cdi_spec, "OUTPUT", str(tmp_path / "cdi/nvidia.yaml"))
    run = unit(LoadState="not-found")
    renewal = cdi_spec.Renewal(run, "x", ["no-groups"])
    assert not renewal.by_unit()
    renewal.directly()
    assert run.calls[-1][-1] == "--feature-flag=no-groups"


def test_units_that_only_were_installed_are_enabled_and_the_watch_started():
    renewal = cdi_spec.Renewal(unit(UnitFileState="disabled", ActiveState="inactive"), "x", [])
    renewal.watch(check=False)
    assert renewal.did == ["systemctl enable x.service", "systemctl enable x.path", "systemctl start x.path"]


def test_systemd_reads_its_configuration_anew_only_where_it_has_to():
    for needs, did in (("yes", 2), ("no", 0)):
        renewal = cdi_spec.Renewal(unit(NeedDaemonReload=needs), "x", [])
        renewal.watch(check=False)
        assert renewal.did == ["systemctl daemon-reload"] * did


def test_check_mode_gives_no_orders():
    run = unit(UnitFileState="disabled")
    renewal = cdi_spec.Renewal(run, "x", [])
    renewal.watch(check=True)
    assert renewal.did
    assert all(command[1] == "show" for command in run.calls)


def test_what_the_unit_says_when_it_fails_reaches_a_person():
    run = unit()
    run.answers["systemctl_restart"] = (1, "", "Job for x.service failed")
    run.answers["journalctl___no_pager"] = (0, "Failed to initialize NVML: version mismatch\n", "")
    with pytest.raises(NodeError, match="version mismatch"):
        cdi_spec.Renewal(run, "x", []).by_unit()


def test_without_nvidia_ctk_there_is_one_clear_message(programs):
    programs.remove("nvidia-ctk")
    with pytest.raises(NodeError, match="nvidia-ctk is not installed"):
        cdi_spec.Renewal(unit(LoadState="not-found"), "x", []).directly()


def test_docker_without_cdi_is_noticed_and_a_node_without_docker_is_not(programs):
    assert cdi_spec.docker_serves_cdi(Commands(docker_info=(0, '["/etc/cdi","/var/run/cdi"]\n', "")))
    assert not cdi_spec.docker_serves_cdi(Commands(docker_info=(0, "[]\n", "")))
    assert not cdi_spec.docker_serves_cdi(Commands(docker_info=(0, "null\n", "")))
    assert cdi_spec.docker_serves_cdi(Commands(docker_info=(1, "", "cannot connect")))
    programs.remove("docker")
    assert cdi_spec.docker_serves_cdi(Commands(docker_info=(0, "[]\n", "")))


@pytest.mark.parametrize(
    ("program", "owned", "whose"),
    [
        ("/usr/bin/nvidia-container-toolkit", False, cdi_spec.LEFTOVER),
        ("/usr/bin/nvidia-container-runtime-hook", False, cdi_spec.LEFTOVER),
        ("/usr/bin/nvidia-container-toolkit", True, "the package nvidia-container-toolkit"),
        ("/opt/site/hook", False, cdi_spec.BY_HAND),
    ],
)
def test_only_a_hook_that_a_package_left_behind_is_a_leftover(tmp_path, program, owned, whose):
    path = tmp_path / "oci-nvidia-hook.json"
    path.write_text(json.dumps({"version": "1.0.0", "hook": {"path": program}}))
    found = (0, f"nvidia-container-toolkit: {path}\n", "") if owned else (1, "", "no path found")
    assert cdi_spec.old_hook(lambda command: found, str(path)) == whose


def test_no_hook_is_nobodys(tmp_path):
    assert cdi_spec.old_hook(Commands(), str(tmp_path / "none.json")) == ""
