"""Parts of a host that need no recorded machine around them."""

import os
import struct
import sys

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.host import (
    devices,
    infiniband,
    network,
    packages,
    pci,
    system,
    tuning,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

BRIDGE = "/sys/bus/pci/devices/0000:10:01.0"


def bridge(control, capability=pci.ACS):
    first = struct.pack("<IHH", 0x2001_0001, 0, 0)
    second = struct.pack("<IHH", 0x0001_0000 | capability, 0x5F, control)
    return bytes(0x100) + first.ljust(0x100, b"\0") + second


@pytest.mark.parametrize(
    ("config", "on"),
    [
        (bridge(0x1D), True),
        (bridge(0x04), True),
        (bridge(0x01), False),
        (bridge(0), False),
        (bridge(0x1D, capability=0x000E), False),
        (bytes(0x100), False),
        (bytes(0x100) + b"\xff" * 4, False),
        # A list that runs in a circle.
        (bytes(0x100) + struct.pack("<I", 0x1001_0001), False),
    ],
)
def test_bridges_that_redirect(tree, config, on):
    recorded = tree({f"{BRIDGE}/uevent": "PCI_CLASS=60400\n", f"{BRIDGE}/config": config})
    assert pci.acs(recorded) == (["0000:10:01.0"] if on else [])
    assert recorded.problems == []


def test_config_space_that_only_root_may_read_is_a_problem(tree):
    recorded = tree({f"{BRIDGE}/uevent": "PCI_CLASS=60400\n", f"{BRIDGE}/config": bytes(64)})
    assert pci.acs(recorded) == []
    assert recorded.problems == ["PCIe access control of 1 bridges cannot be read without root"]


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("PCI_CLASS=30200\nPCI_ID=10DE:2330\n", "gpus"),
        ("PCI_CLASS=30000\nPCI_ID=10DE:26B9\n", "gpus"),
        ("PCI_CLASS=30000\nPCI_ID=1A03:2000\n", None),
        ("PCI_CLASS=68000\nPCI_ID=10DE:1AF1\n", "nvswitches"),
        ("PCI_CLASS=68000\nPCI_ID=8086:0001\n", None),
        ("PCI_CLASS=20700\nPCI_ID=15B3:1021\n", "nics"),
        ("PCI_CLASS=40300\nPCI_ID=10DE:22BA\n", None),
    ],
)
def test_what_a_device_is(tree, event, kind):
    found = pci.read(tree({"/sys/bus/pci/devices/0000:01:00.0/uevent": event}))
    assert [name for name, each in found.items() if each] == ([kind] if kind else [])


def test_the_addresses_of_this_machine_are_its_own():
    found = {address for interface in network._live().values() for address in interface}
    assert {"127.0.0.1/8"} <= found


def test_interfaces_without_hardware_and_address_are_passed_over(tree, tmp_path):
    recorded = tree(
        {
            "/listings/addresses": "bond0 10.0.0.5/24\nveth1 fe80::1/64\n",
            **{f"/sys/class/net/{name}/mtu": "1500" for name in ("bond0", "veth1", "lo", "eth0")},
            "/sys/class/net/eth0/device/uevent": "PCI_SLOT_NAME=0000:03:00.0\n",
            "/sys/class/net/eth0/speed": "-1\n",
        }
    )
    found = {interface["name"]: interface for interface in network.read(recorded)}
    assert sorted(found) == ["bond0", "eth0"]
    assert (found["eth0"]["pci"], found["eth0"]["speed_mbps"]) == ("0000:03:00.0", None)
    assert found["bond0"]["addresses"] == ["10.0.0.5/24"]


def test_soft_roce_has_no_hardware(tree):
    place = "/sys/class/infiniband/rxe0/ports/1"
    recorded = tree(
        {
            f"{place}/state": "4: ACTIVE\n",
            f"{place}/gids/0": "fe80:0000:0000:0000:5054:00ff:fe77:000a\n",
            f"{place}/gids/1": infiniband.UNUSED + "\n",
            f"{place}/gid_attrs/ndevs/0": "eth1\n",
        }
    )
    (port,) = infiniband.read(recorded)
    assert (port["state"], port["pci"], port["netdev"], len(port["gids"])) == ("ACTIVE", "", "eth1", 1)
    assert recorded.problems == []


def test_device_nodes_of_a_live_host(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("making device nodes needs root")
    (tmp_path / "dev").mkdir()
    os.mknod(tmp_path / "dev" / "nvidia0", 0o020666, os.makedev(1, 3))
    (tmp_path / "dev" / "nvidia-text").write_text("")
    assert devices.read(Tree("/", str(tmp_path))) == [{"path": "/dev/nvidia0", "major": 1, "minor": 3}]


STATUS = """Package: nvidia-open
Status: hold ok installed
Architecture: amd64
Version: 590.48.01-1ubuntu1

Package: libnccl2
Status: install ok half-configured
Architecture: amd64
Version: 2.30.7-1+cuda13.0

Package: nvidia-utils-570
Status: deinstall ok config-files
Architecture: amd64
Version: 570.211.01-0ubuntu1

Package: libnvidia-compute
Status: install ok installed
Architecture: amd64
Version: 590.48.01-1ubuntu1

Package: libnvidia-compute
Status: install ok installed
Architecture: i386
Version: 590.48.01-1ubuntu1

Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2
"""


def test_packages_of_dpkg(tree):
    recorded = tree({packages.STATUS: STATUS})
    assert packages.read(recorded) == {
        "package_manager": "apt",
        "packages": {
            "nvidia-open": {"version": "590.48.01-1ubuntu1", "held": True},
            "libnccl2": {"version": "2.30.7-1+cuda13.0", "held": False},
            "libnvidia-compute": {"version": "590.48.01-1ubuntu1", "held": False},
            "libnvidia-compute:i386": {"version": "590.48.01-1ubuntu1", "held": False},
        },
    }
    assert recorded.problems == [
        "packages are not fully installed: libnccl2 (half-configured); dpkg --configure -a goes on"
    ]


RPMS = (
    "kernel-core\t0:5.14.0-570.el9\tx86_64\nkernel-core\t0:5.14.0-570.12.1.el9\tx86_64\n"
    "kernel-core\t0:5.14.0-70.el9\tx86_64\nnvidia-open\t3:580.159.04-1.el9\tx86_64\n"
    "nvidia-open\t3:580.159.04-1.el9\ti686\nbash\t0:5.1-1\tx86_64\n"
)


@pytest.mark.parametrize(
    ("path", "lock", "held"),
    [
        ("/etc/dnf/plugins/versionlock.list", "nvidia-open-3:580.159.04-1.*", True),
        ("/etc/dnf/plugins/versionlock.list", "# x\n*nvidia*580*", True),
        ("/etc/dnf/plugins/versionlock.list", "!nvidia-open-3:580.159.04-1.*", False),
        ("/etc/dnf/plugins/versionlock.list", "nvidia-open-3:570.1-1.*", False),
        ("/etc/dnf/versionlock.toml", 'version = "1.0"\n[[packages]]\nname = "nvidia-open"\n', True),
    ],
)
def test_packages_of_rpm_and_what_dnf_must_not_change(tree, path, lock, held):
    found = packages.read(tree({"/listings/packages": RPMS, path: lock}))["packages"]
    assert found["nvidia-open"] == {"version": "3:580.159.04-1.el9", "held": held}
    assert found["kernel-core"]["version"] == "5.14.0-570.12.1.el9"
    assert "bash" not in found


def test_rpm_is_not_asked_about_another_root(tmp_path):
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/dnf").write_text("")
    tree = Tree(str(tmp_path), "/")
    assert packages.read(tree) == {"package_manager": "dnf", "packages": {}}
    assert "only known where it is the running one" in tree.problems[0]


SYSTEM = "/usr/lib/systemd/system.conf.d"


@pytest.mark.parametrize(
    ("files", "memlock"),
    [
        ({}, ""),
        ({"/etc/systemd/system.conf": "[Manager]\n#DefaultLimitMEMLOCK=8M\n"}, ""),
        ({"/etc/systemd/system.conf": "[Manager]\nDefaultLimitMEMLOCK=1G\n"}, "1G"),
        (
            {
                "/etc/systemd/system.conf": "DefaultLimitMEMLOCK=1G\n",
                f"{SYSTEM}/a.conf": "DefaultLimitMEMLOCK=2G\n",
            },
            "2G",
        ),
        (
            {
                f"{SYSTEM}/50-a.conf": "DefaultLimitMEMLOCK=2G\n",
                "/etc/systemd/system.conf.d/50-a.conf": "DefaultLimitMEMLOCK=3G\n",
            },
            "3G",
        ),
        (
            {
                f"{SYSTEM}/60-b.conf": "DefaultLimitMEMLOCK=2G\n",
                "/etc/systemd/system.conf.d/50-a.conf": "DefaultLimitMEMLOCK=3G\n",
            },
            "2G",
        ),
        ({f"{SYSTEM}/a.conf.disabled": "DefaultLimitMEMLOCK=2G\n"}, ""),
    ],
)
def test_which_setting_of_systemd_wins(tree, files, memlock):
    assert tuning.read(tree(files))["memlock"] == memlock


@pytest.mark.parametrize(("text", "value"), [("RemoveIPC=no", False), ("RemoveIPC=yes", True), ("", None)])
def test_remove_ipc(tree, text, value):
    assert tuning.read(tree({"/etc/systemd/logind.conf": f"[Login]\n{text}\n"}))["remove_ipc"] is value


@pytest.mark.parametrize(
    ("groups", "iommu"),
    [
        ({}, "off"),
        ({"0": "identity"}, "passthrough"),
        ({"0": "identity", "1": "DMA-FQ"}, "translated"),
        ({"0": ""}, ""),
    ],
)
def test_the_iommu(tree, groups, iommu):
    files = {f"/sys/kernel/iommu_groups/{name}/type": kind for name, kind in groups.items()}
    assert tuning.read(tree({"/sys/kernel/x": "", **files}))["iommu"] == iommu


def test_hugepages_governors_and_limits(tree):
    pages = "/sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages"
    found = tuning.read(
        tree(
            {
                pages.format(2048): "512\n",
                pages.format(1048576): "0\n",
                **{
                    f"{tuning.FREQUENCY}/policy{number}/scaling_governor": name
                    for number, name in enumerate("aba")
                },
                "/etc/security/limits.conf": "* soft memlock 64\n@hpc - memlock unlimited\n",
                "/etc/security/limits.d/90-x.conf": "* - memlock unlimited # all\n",
            }
        )
    )
    assert found["hugepages"] == {"2048": 512}
    assert found["governor"] == "a,b"
    assert found["limits"] == {"soft memlock": "unlimited", "hard memlock": "unlimited"}


def test_secure_boot_that_cannot_be_read_is_not_said_to_be_off(tree):
    recorded = tree({"/sys/firmware/efi/systab": ""})
    assert system.read(recorded)["secure_boot"] is None
    assert "is efivarfs mounted?" in recorded.problems[0]


@pytest.mark.parametrize(("trusted", "state"), [(b"..certificate..", "enrolled"), (b"another", "made")])
@pytest.mark.parametrize("path", system.SIGNING)
def test_whether_the_firmware_trusts_the_key_of_dkms(tree, path, trusted, state):
    recorded = tree({path: b"certificate", system.ENROLLED[0]: trusted})
    assert system.read(recorded)["signing_key"] == state


def test_a_container_says_so_in_the_environment_of_its_first_process(tree):
    assert system.read(tree({"/proc/1/environ": b"A=b\0container=podman\0"}))["container"] == "podman"


def test_options_of_the_kernel_are_unknown_without_its_configuration(tree):
    assert system.read(tree({}))["options"] == {}
    found = system.read(
        tree({"/proc/sys/kernel/osrelease": "6.8", "/boot/config-6.8": "CONFIG_PCI_P2PDMA=y\n"})
    )
    assert (found["options"]["CONFIG_PCI_P2PDMA"], found["options"]["CONFIG_DMABUF_MOVE_NOTIFY"]) == (
        "y",
        "n",
    )


def test_ranges_of_cpus(tree):
    assert system.read(tree({"/sys/devices/system/cpu/online": "0-3,8,10-11\n"}))["cpus"] == 7


def test_a_file_that_cannot_be_read_is_a_problem(tree, monkeypatch):
    recorded = tree({"/etc/x": "", "/sys/x": ""})

    def refuse(path, mode, buffering):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    assert recorded.text("/etc/x") == ""
    assert recorded.data("/sys/x", closed=True) == b""
    monkeypatch.undo()
    who = "here, not even by root" if os.geteuid() == 0 else "without root"
    assert recorded.problems == [f"/etc/x cannot be read {who}"]


def test_sysctls_of_this_machine_are_read():
    # The kernel refuses to give a sysctl to a read of megabytes.
    assert system.release(Tree()) == os.uname().release
    assert Tree().text("/proc/sys/kernel/osrelease") == os.uname().release


def test_the_python_of_old_nodes_knows_this_syntax():
    import ast
    from pathlib import Path

    root = Path(__file__).parents[3]
    for path in [
        *root.glob("plugins/module_utils/host/*.py"),
        root / "plugins/modules/host_probe.py",
        root / "scripts/record_host.py",
    ]:
        ast.parse(path.read_text(), feature_version=(3, 9))
    assert sys.version_info >= (3, 9)
