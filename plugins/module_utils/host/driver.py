"""The NVIDIA driver: what is loaded, what lies on disk, and who uses it."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.host import modules
from ansible_collections.nimctl.multinode.plugins.module_utils.host.system import release
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

VERSION = "/proc/driver/nvidia/version"
LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib/x86_64-linux-gnu/nvidia/current",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/nvidia/lib64",
    "/usr/local/nvidia/lib",
)
PROCESS = re.compile(r"^\d+$")
LIBRARY = re.compile(r"^lib(nvidia-ml|cuda)\.so\.\d{3}(\.\d+)+$")


def read(tree: Tree) -> dict[str, Any]:
    """Everything of ``nimctl.stack.host.Driver``."""
    version, flavour = loaded(tree)
    kernel = release(tree)
    others = [name for name in tree.names("/lib/modules") if name != kernel]
    found = _user_space(tree)
    if len(found) > 1:
        tree.problem(f"the libraries of several drivers are installed: {', '.join(found)}")
    users = _users(tree) if version else {}
    return {
        "loaded": version,
        "flavour": flavour,
        "parameters": _parameters(tree),
        "installed": modules.nvidia(tree, kernel),
        "elsewhere": [module for name in others for module in modules.nvidia(tree, name)],
        "user_space": found[-1] if found else "",
        "nouveau": tree.exists("/sys/module/nouveau"),
        "users": sorted(users),
        "user_names": {str(pid): name for pid, name in sorted(users.items())},
    }


def loaded(tree: Tree) -> tuple[str, str]:
    """Version and flavour of the loaded module."""
    line = next((line for line in tree.lines(VERSION) if line.startswith("NVRM version:")), "")
    if not line:
        # The open module's file is the same; a module that is loaded but has no GPU may have none.
        return tree.text("/sys/module/nvidia/version"), ""
    match = re.search(r"\s(\d+\.\d[\d.]*)\s", line)
    return match[1] if match else "", "open" if "Open Kernel Module" in line else "proprietary"


def _parameters(tree: Tree) -> dict[str, str]:
    """The parameters of the loaded module, by their names without NVreg_."""
    pairs = (line.partition(":") for line in tree.lines("/proc/driver/nvidia/params"))
    return {name: value.strip().strip('"') for name, _, value in pairs}


def _user_space(tree: Tree) -> list[str]:
    names = {name for folder in LIBRARIES for name in tree.names(folder, LIBRARY)}
    versions = {name.partition(".so.")[2] for name in names}
    return sorted(versions, key=lambda version: [int(part) for part in version.split(".")])


def _users(tree: Tree) -> dict[int, str]:
    """Processes that have a device node of a GPU open, with the names of their programs."""
    found, closed = {}, 0
    for entry in tree.names("/proc", PROCESS):
        try:
            if any(name.startswith("/dev/nvidia") for name in tree.opened(entry)):
                found[int(entry)] = tree.text(f"/proc/{entry}/comm")
        except PermissionError:
            closed += 1
        except OSError:
            # It has ended, or closed a file, meanwhile.
            continue
    if closed:
        tree.problem(
            f"the kernel does not show what {closed} process{'es have' if closed > 1 else ' has'} open "
            "(is the probe run as root?): users of the GPUs may be missing"
        )
    return found
