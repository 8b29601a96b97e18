"""What is put into a node before it starts: its keys, help for peculiar machines, stand-ins for GPUs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from nimctl.lab.images import data
from nimctl.lab.machine import Machine
from nimctl.lab.tarball import File, Files

USER = "ops"
"""The user of every node; it may do everything by sudo."""

_RUNTIME = "/usr/local/sbin/runc-lab"


def node_files(host_key: Path, authorized_key: Path, machine: Machine, gpus: int) -> Files:
    """All files of one node.

    Args:
        host_key: The node's SSH host key; its public half beside it.
        authorized_key: Public key that may log in.
        machine: The machine that the node runs on.
        gpus: How many stand-ins for GPUs it gets.
    """
    public = authorized_key.read_bytes()
    own = host_key.with_suffix(".pub").read_bytes()
    files = {
        "/etc/ssh/ssh_host_ed25519_key": File(host_key.read_bytes(), 0o600),
        "/etc/ssh/ssh_host_ed25519_key.pub": File(own),
        # systemd would take it from the machine below, the same for every node.
        "/etc/machine-id": File(machine_id(host_key).encode() + b"\n", 0o444),
        f"/etc/ssh/authorized_keys/{USER}": File(public),
        "/etc/ssh/authorized_keys/root": File(public),
    }
    if not machine.plain:
        files.update(_runtime_files())
    if gpus:
        files.update(_gpu_files(gpus))
    return files


def machine_id(host_key: Path) -> str:
    """The machine id of a node: 32 hexadecimal digits that follow from its host key."""
    return hashlib.sha256(host_key.with_suffix(".pub").read_bytes()).hexdigest()[:32]


def _runtime_files() -> Files:
    """A runtime that asks for no more than the machine allows, and the engines' settings that choose it.

    They are there before a role comes, as a site's own settings would be, and have to survive it.
    """
    podman = f'[engine]\nruntime = "lab"\n\n[engine.runtimes]\nlab = ["{_RUNTIME}"]\n'
    docker = {
        "default-cgroupns-mode": "private",
        "default-runtime": "lab",
        "runtimes": {"lab": {"path": _RUNTIME}},
    }
    return {
        _RUNTIME: File(data("runc_lab.py").encode(), 0o755),
        "/etc/containers/containers.conf.d/90-lab.conf": File(podman.encode()),
        "/etc/docker/daemon.json": File((json.dumps(docker, indent=2) + "\n").encode()),
    }


def _gpu_files(count: int) -> Files:
    """Device files with the names of GPUs, made anew at every boot: each is another /dev/null.

    They let a container be started with ``--device nvidia.com/gpu=0``. Nothing can be computed on them.
    """
    nodes = [f"/dev/nvidia{number}" for number in range(count)]
    everywhere = ["/dev/nvidiactl", "/dev/nvidia-uvm"]
    tmpfiles = "".join(f"c {path} 0666 root root - 1:3\n" for path in [*nodes, *everywhere])
    devices = [
        {"name": str(number), "containerEdits": {"deviceNodes": [{"path": path}]}}
        for number, path in enumerate(nodes)
    ]
    devices.append({"name": "all", "containerEdits": {"deviceNodes": [{"path": path} for path in nodes]}})
    specification = {
        "cdiVersion": "0.5.0",
        "kind": "nvidia.com/gpu",
        "containerEdits": {"deviceNodes": [{"path": path} for path in everywhere]},
        "devices": devices,
    }
    return {
        "/etc/tmpfiles.d/nimctl-lab-gpus.conf": File(tmpfiles.encode()),
        # JSON is YAML, and needs no library to write.
        "/etc/cdi/nvidia.yaml": File((json.dumps(specification, indent=2) + "\n").encode()),
    }
