"""What the probe finds on the recorded hosts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.host.probe import probe
from pydantic import BaseModel

from nimctl.stack.host import Host

ROOT = Path(__file__).parents[3]
HOSTS = ROOT / "tests" / "fixtures" / "hosts"
NAMES = sorted(path.parent.name for path in HOSTS.glob("*/proc"))
sys.path.insert(0, str(HOSTS))
# Behind the line above, which says where they are.
import make  # noqa: E402


@pytest.mark.parametrize("name", sorted(make.HOSTS))
def test_a_tree_is_what_its_description_says(name):
    assert make.on_disk(HOSTS / name) == make.described(name), "run tests/fixtures/hosts/make.py"


def keys_of(model: BaseModel, found: Any, where: str) -> set[str]:
    """Where the keys of a probe and the fields of the model differ, through all parts."""
    fields = set(type(model).model_fields)
    differing = {f"{where}.{name}" for name in fields ^ set(found)}
    for name in fields & set(found):
        value, raw = getattr(model, name), found[name]
        if isinstance(value, BaseModel):
            differing |= keys_of(value, raw, f"{where}.{name}")
        elif isinstance(value, tuple):
            for part, each in zip(value, raw, strict=True):
                if isinstance(part, BaseModel):
                    differing |= keys_of(part, each, f"{where}.{name}[]")
        elif name == "packages":
            for package, each in raw.items():
                differing |= keys_of(value[package], each, f"{where}.packages[]")
    return differing


@pytest.mark.parametrize("name", NAMES)
def test_the_probe_and_the_model_know_the_same_keys(name):
    found = probe(str(HOSTS / name), str(HOSTS / name))
    assert keys_of(Host.from_probe(found), json.loads(json.dumps(found)), "host") == set()


@pytest.mark.parametrize(
    ("name", "gpus", "switches", "ports", "driver"),
    [
        ("h100-sxm-x1", 1, 0, 0, "580.159.04"),
        ("h200-sxm-x1", 1, 0, 0, "580.159.04"),
        ("hgx-h100-x8", 8, 4, 8, "580.126.20"),
        ("hgx-h200-x8-roce", 8, 4, 8, "580.159.04"),
        ("gb200-tray", 4, 0, 4, "580.126.20"),
        ("hgx-b200-x8", 8, 0, 12, "580.126.20"),
        ("l40s-pcie-x4", 4, 0, 0, "570.211.01"),
        ("v100-x4", 4, 0, 1, ""),
        ("no-gpu", 0, 0, 0, ""),
    ],
)
def test_the_hardware_is_found(probed, name, gpus, switches, ports, driver):
    host = probed(name)
    assert (len(host.gpus), len(host.nvswitches), len(host.infiniband)) == (gpus, switches, ports)
    assert host.driver.loaded == driver
    assert host.problems == ()


def test_a_host_that_is_as_it_should_be(probed):
    host = probed("hgx-h100-x8")
    assert {module.version for module in host.driver.installed} == {"580.126.20"}
    assert {module.flavour for module in host.driver.installed} == {host.driver.flavour} == {"open"}
    assert host.driver.user_space == host.driver.loaded
    assert [(module.name, module.state) for module in host.dkms] == [("nvidia", "installed")]
    assert host.cdi[0].devices == (*map(str, range(8)), "all")
    assert host.cdi[0].stale == ()
    assert (host.tuning.memlock, host.tuning.remove_ipc) == ("infinity", False)
    assert (host.tuning.iommu, host.tuning.acs) == ("passthrough", ())
    assert host.system.kernel == "6.8.0-85-generic"
    assert host.system.headers
    assert host.packages["nvidia-fabricmanager"].version == "580.126.20-1"


def test_infiniband_and_roce_ports(probed):
    port = probed("hgx-h100-x8").infiniband[5]
    assert (port.device, port.link_layer, port.state, port.rate_gbps) == (
        "mlx5_5",
        "InfiniBand",
        "ACTIVE",
        400,
    )
    assert (port.netdev, port.numa_node, port.pci) == ("ib5", 1, "0000:c0:00.0")
    roce = probed("hgx-h200-x8-roce").infiniband
    assert [gid.index for gid in roce[0].gids if gid.type == "RoCE v2"] == [1, 3]
    assert roce[0].gids[3].gid == "0000:0000:0000:0000:0000:ffff:0a02:000b"
    assert roce[0].gids[3].netdev == roce[0].netdev == "ens0np0"
    assert [port.device for port in roce if port.state == "DOWN"] == ["mlx5_7"]


def test_nvlink_5_is_managed_by_hcas(probed):
    host = probed("hgx-b200-x8")
    assert [port.device for port in host.infiniband if port.nvlink_manager] == [
        f"mlx5_{i}" for i in (10, 11, 8, 9)
    ]
    assert "ib_umad" not in host.modules
    assert "ib_umad" in host.available_modules


def test_an_arm_tray_has_imex_channels(probed):
    host = probed("gb200-tray")
    assert (host.system.architecture, host.system.product) == ("aarch64", "GB200 NVL")
    assert "/dev/nvidia-caps-imex-channels/channel0" in [node.path for node in host.devices]
    assert host.driver.flavour == "open"


def test_trouble_with_a_pcie_machine_is_seen(probed):
    host = probed("l40s-pcie-x4")
    assert host.system.secure_boot is True
    assert host.system.signing_key == "made"
    assert host.tuning.acs == ("0000:49:00.0", "0000:60:00.0")
    assert (host.tuning.iommu, host.tuning.governor, host.tuning.numa_balancing) == (
        "translated",
        "schedutil",
        True,
    )
    assert [name for name, package in host.packages.items() if package.held] == [
        "libnvidia-compute-570",
        "nvidia-dkms-570-open",
        "nvidia-open-570",
    ]
    (spec,) = host.cdi
    assert spec.driver == "560.35.05"
    assert "/dev/nvidia-uvm is 511:0, and the specification says 508:0" in spec.stale
    assert "it names files of driver 560.35.05, and 570.211.01 is loaded" in spec.stale


def test_nouveau_is_seen(probed):
    host = probed("v100-x4")
    assert host.driver.nouveau
    assert {gpu.driver for gpu in host.gpus} == {"nouveau"}
    assert host.system.secure_boot is None
    assert not host.system.headers


def test_rpm_packages_and_their_locks(probed):
    host = probed("hgx-h200-x8-roce")
    assert host.package_manager == "dnf"
    assert host.packages["nvidia-open"].version == "3:580.159.04-1.el9"
    assert host.packages["nvidia-fabricmanager"].version == "580.126.20-1"
    assert host.packages["kernel-core"].held
    assert host.packages["nvidia-open"].held
    assert not host.packages["podman"].held


def test_mounts_of_a_recorded_host_are_not_asked(probed):
    mount = probed("hgx-h200-x8-roce").mounts[-1]
    assert (mount.source, mount.target, mount.type) == ("store01:/srv/models", "/models", "nfs4")
    assert {"nconnect=8", "hard", "vers=4.2"} <= set(mount.options)
    assert mount.answers is None


def test_a_packed_host_is_the_same_hardware(tmp_path):
    subprocess.run([sys.executable, HOSTS / "make.py", "pack", "hgx-h100-x8", tmp_path / "x.tar"], check=True)
    subprocess.run(["tar", "-xf", tmp_path / "x.tar", "-C", tmp_path], check=True)
    host = Host.from_probe(probe(str(HOSTS / "no-gpu"), str(tmp_path)))
    assert (len(host.gpus), len(host.devices), host.system.distribution) == (8, 36, "debian")


def test_a_real_machine_with_an_h200(probed):
    host = probed("h200-sxm-x1")
    (gpu,) = host.gpus
    assert (gpu.id, gpu.model, gpu.link_width) == ("10de:2335", "NVIDIA H200", 16)
    assert (host.system.distribution, host.system.version) == ("ubuntu", "24.04")
    assert not host.system.systemd
    assert (host.driver.flavour, host.driver.user_space) == ("open", "580.159.04")
    assert host.driver.installed == (), "its modules are part of the image, not of a package"
    assert host.packages["libnccl2"].held
    assert {node.path: node.major for node in host.devices}["/dev/nvidia0"] == 195
