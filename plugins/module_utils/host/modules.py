"""Kernel modules: those that are loaded, those on disk, and the trees of DKMS."""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
from collections.abc import Iterable
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.host.kofile import (
    UnknownPackingError,
    UnreadableError,
    modinfo,
    module_name,
)
from ansible_collections.nimctl.multinode.plugins.module_utils.host.system import release
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

DKMS = "/var/lib/dkms"
# Debian's alternative of nvidia.ko is nvidia-current.ko, that of the others nvidia-current-uvm.ko and so on.
NVIDIA = re.compile(r"^nvidia(_current(_open)?)?(_(uvm|modeset|drm|peermem))?$")
MATTER = re.compile(
    r"^(nvidia(_current)?(_open)?(_(uvm|modeset|drm|peermem|fs))?|nouveau|gdrdrv"
    r"|ib_(core|uverbs|umad|ipoib)|rdma_(cm|ucm|rxe)|siw|mlx[45]_(core|ib)"
    r"|nfs(v3|v4|d)?|rpcrdma|lustre|lnet|ko2iblnd|nf_tables)$"
)
"""Modules of which it matters whether the kernel has them at all."""


def loaded(tree: Tree) -> list[str]:
    """Names of the loaded modules."""
    return sorted(line.split(" ", 1)[0] for line in tree.lines("/proc/modules"))


def available(tree: Tree) -> list[str]:
    """Modules that matter here and that the running kernel has, built in or as files."""
    files = [line.partition(":")[0] for line in tree.lines(f"/lib/modules/{release(tree)}/modules.dep")]
    return sorted({*_mattering(files), *built_in(tree)})


def built_in(tree: Tree) -> list[str]:
    """Modules that matter here and are part of the running kernel: there is nothing to load."""
    return sorted(_mattering(tree.lines(f"/lib/modules/{release(tree)}/modules.builtin")))


def _mattering(paths: Iterable[str]) -> set[str]:
    return {name for name in map(module_name, paths) if MATTER.match(name)}


def nvidia(tree: Tree, kernel: str) -> list[dict[str, Any]]:
    """The NVIDIA modules on disk for one kernel, as ``nimctl.stack.host.KernelModule`` has them."""
    folder = f"/lib/modules/{kernel}"
    paths = [line.partition(":")[0] for line in tree.lines(f"{folder}/modules.dep")]
    paths = [path for path in paths if NVIDIA.match(module_name(path))]
    found = []
    described: dict[str, tuple[str, str]] = {}
    for path in sorted(paths, key=_cheapest_first):
        place = posixpath.dirname(path)
        if place not in described:
            described[place] = _describe(tree, f"{folder}/{path}")
        version, flavour = described[place]
        found.append(
            {
                "name": module_name(path),
                "version": version,
                "kernel": kernel,
                "path": posixpath.join(folder, path),
                "flavour": flavour,
            }
        )
    return sorted(found, key=lambda module: module["path"])


def _cheapest_first(path: str) -> tuple[bool, bool, str]:
    """Modules of one folder are one build. A packed nvidia.ko takes half a second to unpack, modeset little.

    The others do not tell: they have the same licence in both flavours.
    """
    name = module_name(path)
    first = name.endswith("_modeset") if not path.endswith(".ko") else name in ("nvidia", "nvidia_current")
    return not first, not name.endswith(("nvidia", "current")), path


def _describe(tree: Tree, path: str) -> tuple[str, str]:
    """Version and flavour of one module; empty where the file cannot be read."""
    try:
        fields = _fields(tree, path)
    except UnreadableError as error:
        tree.problem(str(error))
        return "", ""
    licence = fields.get("license", "")
    return fields.get("version", ""), "proprietary" if licence == "NVIDIA" else "open" if licence else ""


def _fields(tree: Tree, path: str) -> dict[str, str]:
    try:
        return modinfo(tree.at(path))
    except UnknownPackingError:
        # Ubuntu and Debian pack with zstd, which kmod reads and most Pythons do not.
        program = shutil.which("modinfo", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if program is None or tree.root != "/":
            raise
        command = [program, "--null", path]
        done = subprocess.run(command, capture_output=True, timeout=10, check=False)  # noqa: S603 - no shell
    pairs = (field.partition("=") for field in done.stdout.decode("utf-8", "replace").split("\0"))
    return {name: value for name, _, value in reversed(list(pairs))}


def dkms(tree: Tree) -> list[dict[str, Any]]:
    """Every module in DKMS with its state for each kernel: added, built, installed or failed.

    The layout is that of dkms(8): NAME/VERSION/KERNEL/ARCH/module, and a link NAME/kernel-KERNEL-ARCH to what
    is installed.
    """
    found = []
    for name in tree.folders(DKMS):
        links = {
            entry: tree.link(f"{DKMS}/{name}/{entry}")
            for entry in tree.names(f"{DKMS}/{name}")
            if "kernel-" in entry
        }
        for version in tree.folders(f"{DKMS}/{name}"):
            found += _dkms_states(tree, name, version, set(links))
    return found


def _dkms_states(tree: Tree, name: str, version: str, links: set[str]) -> list[dict[str, Any]]:
    place = f"{DKMS}/{name}/{version}"
    rows = []
    for kernel in tree.folders(place):
        if kernel in ("build", "source"):
            continue
        for architecture in tree.folders(f"{place}/{kernel}"):
            state = "installed" if f"kernel-{kernel}-{architecture}" in links else "built"
            rows.append({"name": name, "version": version, "kernel": kernel, "state": state})
    if tree.exists(f"{place}/build/make.log"):
        # DKMS takes the folder away after a build that succeeded.
        rows.append(
            {"name": name, "version": version, "kernel": _kernel_of_log(tree, place), "state": "failed"}
        )
    return rows or [{"name": name, "version": version, "kernel": "", "state": "added"}]


def _kernel_of_log(tree: Tree, place: str) -> str:
    match = re.search(r"for kernel:? ([^\s()]+)", tree.text(f"{place}/build/make.log", 4096))
    return match[1] if match else ""
