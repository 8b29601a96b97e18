"""Replace the loaded modules of the NVIDIA driver by those on disk, without a reboot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.nimctl.multinode.plugins.module_utils.packages.base import Run

VERSION = "proc/driver/nvidia/version"
MODULES = ("nvidia_fs", "gdrdrv", "nvidia_peermem", "nvidia_uvm", "nvidia_drm", "nvidia_modeset", "nvidia")
"""In the order in which they go: each needs those after it."""

HOLDERS = (
    "nvidia-dcgm.service",
    "nvidia-fabricmanager.service",
    "nvidia-imex.service",
    "nvidia-persistenced.service",
)
"""Services of the driver itself that hold its devices open; they stop for the change and start again."""


def loaded(kernel: Path) -> str:
    """Version of the loaded module, empty where none is."""
    try:
        text = (kernel / VERSION).read_text()
    except OSError:
        return ""
    match = re.search(r"^NVRM version:.*?\s(\d+\.\d[\d.]*)\s", text, re.MULTILINE)
    return match.group(1) if match else ""


def users(kernel: Path) -> list[str]:
    """Programs, with their PIDs, that have a GPU open besides the driver's own services."""
    found = []
    for descriptor in kernel.glob("proc/[0-9]*/fd/*"):
        process = descriptor.parents[1]
        try:
            target = str(descriptor.readlink())
            name = (process / "comm").read_text().strip()
        except OSError:
            # It has ended, or closed the file, meanwhile.
            continue
        if target.startswith("/dev/nvidia") and not name.startswith(OWN):
            found.append(f"{name} ({process.name})")
    return sorted(set(found))


OWN = ("nvidia-persiste", "nv-fabricmanage", "nvidia-imex", "nv-hostengine")
"""Names of the services' processes, as the kernel cuts them off."""


def replace(run: Run, version: str, kernel: Path) -> str:
    """Unload what is loaded and load what is on disk; why it has to be a reboot, or an empty text."""
    there = [name for name in MODULES if (kernel / "sys/module" / name).exists()]
    stopped = _active(run, HOLDERS)
    if stopped:
        run(["systemctl", "stop", *stopped])
    busy = users(kernel)
    if busy:
        _start(run, stopped)
        return f"these programs have the GPUs open: {', '.join(busy)}"
    for name in there:
        status, out, err = run(["modprobe", "--remove", name])
        if status != 0:
            run(["modprobe", "nvidia"])
            _start(run, stopped)
            return f"{name} cannot be unloaded: {(err or out).strip()}"
    for name in ("nvidia", "nvidia_uvm"):
        status, out, err = run(["modprobe", name])
        if status != 0:
            return f"{name} cannot be loaded: {(err or out).strip()}"
    _start(run, stopped)
    now = loaded(kernel)
    return "" if now == version else f"{now or 'no driver'} is loaded after the change"


def _active(run: Run, units: Sequence[str]) -> list[str]:
    _, out, _ = run(["systemctl", "list-units", "--state=active", "--no-legend", "--plain", *units])
    return [line.split()[0] for line in out.splitlines() if line.split()]


def _start(run: Run, units: Sequence[str]) -> None:
    if units:
        # What does not start again is found by the module that looks after it.
        run(["systemctl", "start", *reversed(units)])
