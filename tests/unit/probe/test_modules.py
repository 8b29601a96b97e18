import gzip
import lzma
import subprocess

import pytest
from ansible_collections.nimctl.multinode.plugins.module_utils.host import driver, kofile, modules
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

OPEN = kofile.smallest({"version": "580.126.20", "license": "Dual MIT/GPL"})
PROPRIETARY = kofile.smallest({"version": "580.126.20", "license": "NVIDIA"})
KERNEL = "6.8.0-85-generic"
PLACE = f"/lib/modules/{KERNEL}"


def on_disk(tree, files):
    """The NVIDIA modules of a kernel that has these files, by name, and the problems."""
    recorded = tree(
        {
            f"{PLACE}/modules.dep": "".join(f"{path}: kernel/x.ko\n" for path in files),
            **{f"{PLACE}/{path}": content for path, content in files.items()},
        }
    )
    found = {
        module["name"]: (module["version"], module["flavour"]) for module in modules.nvidia(recorded, KERNEL)
    }
    return found, recorded.problems


@pytest.mark.parametrize("pack", [lambda content: content, lzma.compress, gzip.compress])
@pytest.mark.parametrize(("content", "flavour"), [(OPEN, "open"), (PROPRIETARY, "proprietary")])
def test_version_and_flavour_are_in_the_file(tree, pack, content, flavour):
    found, problems = on_disk(tree, {"updates/dkms/nvidia.ko": pack(content)})
    assert found == {"nvidia": ("580.126.20", flavour)}
    assert problems == []


def test_a_packed_module_is_described_by_its_small_companion(tree):
    found, problems = on_disk(
        tree, {"extra/nvidia.ko.xz": b"\xfd7zXZ\0broken", "extra/nvidia-modeset.ko.xz": lzma.compress(OPEN)}
    )
    assert found == {"nvidia": ("580.126.20", "open"), "nvidia_modeset": ("580.126.20", "open")}
    assert problems == []


def test_modules_of_two_folders_are_two_builds(tree):
    other = kofile.smallest({"version": "570.211.01", "license": "NVIDIA"})
    recorded = tree(
        {
            f"{PLACE}/modules.dep": "updates/dkms/nvidia.ko:\nkernel/nvidia-570/nvidia.ko:\n",
            f"{PLACE}/updates/dkms/nvidia.ko": OPEN,
            f"{PLACE}/kernel/nvidia-570/nvidia.ko": other,
        }
    )
    found = modules.nvidia(recorded, KERNEL)
    assert [(module["version"], module["flavour"]) for module in found] == [
        ("570.211.01", "proprietary"),
        ("580.126.20", "open"),
    ]


def test_names_of_debians_alternatives(tree):
    found, _ = on_disk(
        tree, {"updates/dkms/nvidia-current.ko": OPEN, "updates/dkms/nvidia-current-uvm.ko": OPEN}
    )
    assert sorted(found) == ["nvidia_current", "nvidia_current_uvm"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no module of a 64-bit"),
        (b"text", "no module of a 64-bit"),
        (OPEN[:100], "cannot be read"),
        (b"\xfd7zXZ\0broken", "cannot be read"),
        (b"\x1f\x8bbroken", "cannot be read"),
    ],
)
def test_a_module_that_cannot_be_read_has_no_version_and_is_a_problem(tree, content, problem):
    found, problems = on_disk(tree, {"extra/nvidia.ko": content})
    assert found == {"nvidia": ("", "")}
    assert problem in problems[0]


def test_zstd_is_a_problem_where_neither_python_nor_kmod_can_help(tree, monkeypatch):
    monkeypatch.setattr(modules.shutil, "which", lambda name, path: None)
    found, problems = on_disk(tree, {"updates/dkms/nvidia.ko.zst": kofile.ZSTD + b"x"})
    assert found == {"nvidia": ("", "")}
    assert "packed with zstd" in problems[0]


def test_kmod_reads_zstd_on_a_live_host(tmp_path, monkeypatch):
    path = tmp_path / "nvidia.ko.zst"
    path.write_bytes(kofile.ZSTD)
    out = b"filename:       /x\0version=580.126.20\0license=NVIDIA\0license=other\0"
    monkeypatch.setattr(modules.shutil, "which", lambda name, path: "/sbin/modinfo")
    called = []
    monkeypatch.setattr(
        modules.subprocess,
        "run",
        lambda command, **options: (
            called.append(command) or subprocess.CompletedProcess(command, 0, out, b"")
        ),
    )
    assert modules._describe(Tree(), str(path)) == ("580.126.20", "proprietary")
    assert called == [["/sbin/modinfo", "--null", str(path)]]


def test_which_modules_the_kernel_has(tree):
    recorded = tree(
        {
            "/proc/sys/kernel/osrelease": KERNEL,
            f"{PLACE}/modules.dep": "kernel/sw/rxe/rdma_rxe.ko.zst: kernel/a.ko\nkernel/x/e1000.ko:\n",
            f"{PLACE}/modules.builtin": "kernel/fs/nfs/nfs.ko\nkernel/fs/ext4/ext4.ko\n",
        }
    )
    assert modules.available(recorded) == ["nfs", "rdma_rxe"]
    assert modules.built_in(recorded) == ["nfs"]


def test_states_of_dkms(tree, tmp_path):
    place = "/var/lib/dkms/nvidia"
    recorded = tree(
        {
            f"{place}/580.126.20/{KERNEL}/x86_64/module/nvidia.ko": "",
            f"{place}/580.126.20/6.8.0-90-generic/x86_64/module/nvidia.ko": "",
            f"{place}/590.48.01/build/make.log": "DKMS make.log for x for kernel 6.8.0-90-generic (x86_64)\n",
            "/var/lib/dkms/gdrdrv/2.5.1/source/dkms.conf": "",
        }
    )
    (tmp_path / "var/lib/dkms/nvidia" / f"kernel-{KERNEL}-x86_64").symlink_to(f"580.126.20/{KERNEL}/x86_64")
    assert [tuple(row.values()) for row in modules.dkms(recorded)] == [
        ("gdrdrv", "2.5.1", "", "added"),
        ("nvidia", "580.126.20", KERNEL, "installed"),
        ("nvidia", "580.126.20", "6.8.0-90-generic", "built"),
        ("nvidia", "590.48.01", "6.8.0-90-generic", "failed"),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build  (nixbld@)",
            ("580.159.04", "open"),
        ),
        (
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023",
            ("535.104.05", "proprietary"),
        ),
        (
            "NVRM version: NVIDIA UNIX aarch64 Kernel Module  595.71  Sat Aug 19 01:15:15 UTC 2023",
            ("595.71", "proprietary"),
        ),
    ],
)
def test_the_loaded_module_says_version_and_flavour(tree, line, expected):
    assert driver.loaded(tree({driver.VERSION: line + "\nGCC version:  gcc version 15.3.0\n"})) == expected


def test_a_loaded_module_without_a_gpu_still_has_a_version(tree):
    assert driver.loaded(tree({"/sys/module/nvidia/version": "580.126.20\n"})) == ("580.126.20", "")


def test_leftovers_of_another_driver_are_a_problem(tree):
    recorded = tree(
        {
            f"/usr/lib/x86_64-linux-gnu/{name}": ""
            for name in ("libcuda.so.1", "libcuda.so.570.211.01", "libnvidia-ml.so.580.95.05")
        }
    )
    assert driver.read(recorded)["user_space"] == "580.95.05"
    assert recorded.problems == ["the libraries of several drivers are installed: 570.211.01, 580.95.05"]


def test_modules_for_another_kernel_are_apart(tree):
    recorded = tree(
        {
            "/proc/sys/kernel/osrelease": KERNEL,
            f"{PLACE}/modules.dep": "",
            "/lib/modules/6.8.0-90-generic/modules.dep": "updates/dkms/nvidia.ko:\n",
            "/lib/modules/6.8.0-90-generic/updates/dkms/nvidia.ko": OPEN,
        }
    )
    found = driver.read(recorded)
    assert found["installed"] == []
    assert [(module["kernel"], module["version"]) for module in found["elsewhere"]] == [
        ("6.8.0-90-generic", "580.126.20")
    ]


def test_who_uses_the_gpus(tree, tmp_path):
    recorded = tree(
        {
            driver.VERSION: "NVRM version: x  580.126.20  y",
            "/proc/4711/comm": "python3\n",
            "/proc/12/comm": "sshd\n",
        }
    )
    for pid, target in (("4711", "/dev/nvidia0"), ("12", "/dev/null")):
        (tmp_path / "proc" / pid / "fd").mkdir()
        (tmp_path / "proc" / pid / "fd" / "3").symlink_to(target)
    found = driver.read(recorded)
    assert (found["users"], found["user_names"]) == ([4711], {"4711": "python3"})


def test_nouveau_as_well_as_parameters(tree):
    recorded = tree(
        {
            "/sys/module/nouveau/initstate": "live",
            "/proc/driver/nvidia/params": 'CreateImexChannel0: 1\nRegistryDwords: ""\n',
        }
    )
    found = driver.read(recorded)
    assert found["nouveau"]
    assert found["parameters"] == {"CreateImexChannel0": "1", "RegistryDwords": ""}
