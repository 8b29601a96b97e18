"""The operating system, the kernel that runs, and what the firmware says."""

from __future__ import annotations

import gzip
import os
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

EFI = "/sys/firmware/efi"
SECURE_BOOT = EFI + "/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
ENROLLED = (EFI + "/mok-variables/MokListRT", EFI + "/efivars/MokListRT-605dab50-e046-4300-abb6-3dd810dd8b23")
# Where DKMS keeps the certificate it signs with: Ubuntu's, everybody else's.
SIGNING = ("/var/lib/shim-signed/mok/MOK.der", "/var/lib/dkms/mok.pub")

OPTIONS = ("CONFIG_PCI_P2PDMA", "CONFIG_DMABUF_MOVE_NOTIFY", "CONFIG_MODULE_SIG_FORCE", "CONFIG_MODVERSIONS")
"""Options of the kernel that decide what a layer can do: peer DMA, DMA-BUF for it, unsigned modules."""


def release(tree: Tree) -> str:
    """The release of the running kernel, as uname -r says it."""
    return tree.text("/proc/sys/kernel/osrelease") or ("" if tree.recorded else os.uname().release)


def read(tree: Tree) -> dict[str, Any]:
    """Everything of ``nimctl.stack.host.System``."""
    about = _assignments(tree.text("/etc/os-release") or tree.text("/usr/lib/os-release"))
    kernel = release(tree)
    memory = _fields(tree.text("/proc/meminfo"))
    return {
        "distribution": about.get("ID", ""),
        "version": about.get("VERSION_ID", ""),
        "codename": about.get("VERSION_CODENAME", ""),
        "like": about.get("ID_LIKE", "").split(),
        # The file is younger than some kernels that are in use; then the kernel is the one that runs this.
        "architecture": tree.text("/proc/sys/kernel/arch") or os.uname().machine,
        "vendor": tree.text("/sys/class/dmi/id/sys_vendor"),
        "product": tree.text("/sys/class/dmi/id/product_name"),
        "kernel": kernel,
        "kernels": [
            name for name in tree.names("/lib/modules") if tree.exists(f"/lib/modules/{name}/modules.dep")
        ],
        "options": _options(tree, kernel),
        "headers": tree.exists(f"/lib/modules/{kernel}/build/Makefile"),
        "boot_id": tree.text("/proc/sys/kernel/random/boot_id"),
        "reboot_required": tree.exists("/run/reboot-required"),
        "container": _container(tree),
        "secure_boot": _secure_boot(tree),
        "signing_key": _signing_key(tree),
        "lockdown": _chosen(tree.text("/sys/kernel/security/lockdown")),
        "systemd": tree.text("/proc/1/comm") == "systemd",
        "cgroup": _cgroup(tree),
        "cpus": _count(tree.text("/sys/devices/system/cpu/online")),
        "memory_mib": int(memory.get("MemTotal", "0 kB").split()[0]) // 1024,
        "command_line": tree.text("/proc/cmdline"),
    }


def _assignments(text: str) -> dict[str, str]:
    """Lines of NAME=value, the value quoted or not."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _fields(text: str) -> dict[str, str]:
    """Lines of ``name: value``."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _chosen(text: str) -> str:
    """The word in brackets, where the kernel lists a choice."""
    return next((word.strip("[]") for word in text.split() if word.startswith("[")), "")


def _count(ranges: str) -> int:
    """How many numbers ranges such as ``0-3,8`` name."""
    total = 0
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total


def _options(tree: Tree, kernel: str) -> dict[str, str]:
    text = tree.text(f"/boot/config-{kernel}") or tree.text(f"/lib/modules/{kernel}/config")
    if not text:
        packed = tree.data("/proc/config.gz")
        text = gzip.decompress(packed).decode() if packed else ""
    # Without a configuration nothing is said; with one, an option that it does not set is "n".
    found = _assignments(text)
    return {name: found.get(name, "n") for name in OPTIONS} if text else {}


def _container(tree: Tree) -> str:
    # Only root may read this, and not in every container: then what container engines leave behind tells.
    for variable in tree.data("/proc/1/environ", closed=True).split(b"\0"):
        if variable.startswith(b"container="):
            return variable.partition(b"=")[2].decode()
    if tree.recorded:
        return ""
    if tree.exists("/run/.containerenv"):
        return "podman"
    if tree.exists("/.dockerenv"):
        return "docker"
    return tree.text("/run/systemd/container")


def _secure_boot(tree: Tree) -> bool | None:
    if not tree.exists(EFI):
        return None
    value = tree.data(SECURE_BOOT)
    if len(value) < 5:
        tree.problem(f"{SECURE_BOOT} cannot be read, so that Secure Boot is not known: is efivarfs mounted?")
        return None
    # Four bytes of attributes come before the value.
    return value[4] == 1


def _signing_key(tree: Tree) -> str:
    for path in SIGNING:
        if tree.exists(path):
            certificate = tree.data(path)
            trusted = any(certificate and certificate in tree.data(place) for place in ENROLLED)
            return "enrolled" if trusted else "made"
    return ""


def _cgroup(tree: Tree) -> int:
    if tree.exists("/sys/fs/cgroup/cgroup.controllers"):
        return 2
    return 1 if tree.exists("/sys/fs/cgroup") else 0
