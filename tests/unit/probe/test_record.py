"""Recording a host: what was recorded is probed as the host was."""

import importlib.util
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.host import kofile
from ansible_collections.nimctl.multinode.plugins.module_utils.host.probe import probe

ROOT = Path(__file__).parents[3]
HOSTS = ROOT / "tests" / "fixtures" / "hosts"
SCRIPT = ROOT / "scripts" / "record_host.py"
spec = importlib.util.spec_from_file_location("record_host", SCRIPT)
record_host = importlib.util.module_from_spec(spec)
spec.loader.exec_module(record_host)


def unpacked(files, folder: Path) -> str:
    """Write a record, and unpack it as a user would."""
    record_host.write(files, folder / "host.tar.gz")
    with tarfile.open(folder / "host.tar.gz") as tar:
        tar.extractall(folder / "host", filter="tar")
    return str(folder / "host")


def recorded(tree) -> dict:
    return record_host.record(tree.root, tree.kernel)[0]


@pytest.mark.parametrize("name", sorted(path.parent.name for path in HOSTS.glob("*/proc")))
def test_a_record_is_probed_as_the_host_was(name, tmp_path):
    host = str(HOSTS / name)
    files, problems = record_host.record(host, host)
    again = unpacked(files, tmp_path)
    assert probe(again, again) == probe(host, host)
    assert problems == []


def test_a_record_holds_no_more_than_is_read(tree):
    files = recorded(
        tree(
            {
                "/etc/shadow": "secret",
                "/proc/meminfo": "MemTotal: 1024 kB\nMemFree: 5 kB\n",
                "/proc/modules": "nvidia 1 2 - Live 0xffffffffc0400000 (O)\n",
                "/var/lib/dpkg/status": "Package: dkms\nStatus: x\nMaintainer: me\nVersion: 3\n\n"
                "Package: secret-tool\nStatus: install ok installed\nVersion: 1\n",
                "/etc/systemd/system.conf": "[Manager]\n# password\nDefaultLimitMEMLOCK=1G\n",
                "/proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t H100\nGPU UUID: GPU-1\n",
                "/sys/bus/pci/devices/0000:01:00.0/uevent": "PCI_CLASS=30200\nPCI_ID=10DE:2330\n",
                "/proc/1/environ": b"TOKEN=secret\0container=podman\0",
            }
        )
    )
    text = repr(files)
    for word in ("secret", "MemFree", "Maintainer", "ffffffffc0400000", "password", "GPU-1"):
        assert word not in text
    assert files["/proc/1/environ"] == b"container=podman"
    assert files["/proc/driver/nvidia/gpus/0000:01:00.0/information"] == b"Model: \t H100\n"


def test_certificates_and_product_data_are_replaced(tree, tmp_path):
    place = "/sys/class/infiniband/mlx5_0"
    host = tree(
        {
            "/var/lib/dkms/mok.pub": b"my certificate",
            "/sys/firmware/efi/mok-variables/MokListRT": b"..my certificate..other",
            f"{place}/ports/1/state": "4: ACTIVE\n",
            f"{place}/ports/1/link_layer": "InfiniBand\n",
            f"{place}/device/vpd": b"serial MT2299X SW_MNG",
        }
    )
    files = recorded(host)
    assert b"certificate" not in b"".join(content for content in files.values() if isinstance(content, bytes))
    assert files[f"{place}/device/vpd"] == b"SW_MNG"
    again = unpacked(files, tmp_path)
    assert probe(again, again)["system"]["signing_key"] == "enrolled"


def test_modules_become_small(tree):
    large = kofile.smallest({"version": "580.126.20", "license": "NVIDIA", "x": "y" * 100_000})
    place = "/lib/modules/6.8.0-85-generic"
    files = recorded(
        tree(
            {
                "/proc/sys/kernel/osrelease": "6.8.0-85-generic",
                f"{place}/modules.dep": "extra/nvidia.ko: a\nextra/nvidia-uvm.ko.zst:\nkernel/e1000.ko: b\n",
                f"{place}/extra/nvidia.ko": large,
            }
        )
    )
    assert len(files[f"{place}/extra/nvidia.ko"]) < 1000
    assert files[f"{place}/modules.dep"] == b"extra/nvidia.ko:\nextra/nvidia-uvm.ko.zst:\n"


def test_users_of_the_gpus_are_recorded_without_what_else_they_have_open(tree, tmp_path):
    host = tree({"/proc/driver/nvidia/version": "NVRM version: x  580.126.20  y", "/proc/7/comm": "python3"})
    (tmp_path / "proc/7/fd").mkdir()
    (tmp_path / "proc/7/fd/3").symlink_to("/home/me/diary")
    (tmp_path / "proc/7/fd/4").symlink_to("/dev/nvidia0")
    files = recorded(host)
    assert files["/proc/7/fd/0"] == "/dev/nvidia0"
    assert "diary" not in repr(files)


def disguised(path: str, text: str) -> str:
    return record_host.Disguise().files({path: text.encode()})[path].decode()


def test_addresses_are_replaced_and_networks_stay_apart():
    text = (
        "eth0 192.168.7.11/24\neth1 192.168.7.12/24\nib0 172.16.0.11/16\n"
        "eth0 2001:db8::1/64\neth0 fe80::5054:ff:fe77:a/64\n"
    )
    assert disguised("/listings/addresses", text) == (
        "eth0 10.0.1.11/24\neth1 10.0.1.12/24\nib0 10.0.2.11/16\n"
        "eth0 fd00::1:a088:c203:0:1/64\neth0 fe80::a088:c203:0:2/64\n"
    )


def test_a_gid_is_replaced_by_the_substitute_of_its_address():
    files = {
        "/listings/addresses": b"eth0 192.168.7.11/24\n",
        "/sys/class/infiniband/mlx5_0/ports/1/gids/3": b"0000:0000:0000:0000:0000:ffff:c0a8:070b\n",
    }
    assert record_host.Disguise().files(files) == {
        "/listings/addresses": b"eth0 10.0.1.11/24\n",
        "/sys/class/infiniband/mlx5_0/ports/1/gids/3": b"0000:0000:0000:0000:0000:ffff:0a00:010b\n",
    }


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        (
            "/proc/self/mountinfo",
            "40 28 0:44 / /models rw - nfs4 filer.corp.example:/srv/models rw,addr=192.168.7.5\n",
            "40 28 0:44 / /models rw - nfs4 server1:/srv/models rw,addr=10.0.1.5\n",
        ),
        (
            "/proc/cmdline",
            "root=UUID=1b0c0dce-6d2c-4a3c-8d1e-0123456789ab ip=10.9.8.7\n",
            "root=UUID=00000000-0000-4000-8000-000000000001 ip=10.0.1.7\n",
        ),
        ("/sys/x", "b8:3f:d2:01:02:03 on enxb83fd2010203\n", "02:00:00:00:00:01 on enx020000000002\n"),
        # Not an address: a version.
        ("/var/lib/dpkg/status", "Version: 24.10.4.1\n", "Version: 24.10.4.1\n"),
    ],
)
def test_what_tells_one_machine_from_another_is_replaced(path, before, after):
    assert disguised(path, before) == after


def test_the_same_thing_has_the_same_substitute_everywhere():
    uuid = b"1b0c0dce-6d2c-4a3c-8d1e-0123456789ab"
    found = record_host.Disguise().files({"/a": uuid, "/b": b"x " + uuid.upper()})
    assert found["/b"] == b"x " + found["/a"]


def test_this_machine_is_recorded_by_the_script_alone(tmp_path):
    """Without an environment, as on a node that has only Python."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, tmp_path / "me.tar.gz"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Look through it" in done.stdout
    with tarfile.open(tmp_path / "me.tar.gz") as tar:
        tar.extractall(tmp_path / "me", filter="tar")
    found = probe(str(tmp_path / "me"), str(tmp_path / "me"))
    assert found["system"]["kernel"] == os.uname().release


def test_what_the_probe_finds_is_shown_without_ansible():
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, "--show"], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["system"]["kernel"] == os.uname().release
