"""Nodes with a kernel of their own: each is a virtual machine inside a container of the lab.

So a lab of machines has the network, the registry, the labels and the end of a lab of containers, and shows
what those cannot: kernel modules, mounts, soft RoCE, reboots. QEMU runs with KVM where that works, else by
emulation.
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from ipaddress import IPv4Network
from pathlib import Path

from nimctl.errors import NimctlError
from nimctl.lab import apt, subnet
from nimctl.lab.images import ORIGIN, Recipe, data
from nimctl.lab.machine import Machine
from nimctl.lab.node import machine_id, node_files
from nimctl.lab.tarball import File, Files, pack

GUEST_PACKAGES = (
    "linux-image-amd64 systemd systemd-sysv udev dbus openssh-server python3 python3-apt sudo iproute2 "
    "nftables iputils-ping procps kmod curl e2fsprogs"
)
CACHED_PACKAGES = (
    "podman runc crun netavark aardvark-dns iptables uidmap catatonit nfs-kernel-server nfs-common rdma-core "
    "rdmacm-utils ibverbs-utils ibverbs-providers infiniband-diags perftest"
)
HOST_PACKAGES = "qemu-system-x86 qemu-utils iproute2"
DISK_MIB = 8192
MEMORY_MIB = 1024
CPUS = 2
SECONDS = 400
"""How long a machine may take until it answers, emulated, beside others."""

OWN = Machine(cgroup_v2=True, may_raise_limits=True, max_files=None, max_processes=None)
"""A machine of its own has no peculiarities of the one that it runs on."""

STATE = "/vm/state"


def recipe(sources: apt.Sources) -> Recipe:
    """How the image is made whose containers are virtual machines.

    Raises:
        NimctlError: this machine has another architecture than the images.
    """
    if platform.machine() != "x86_64":
        raise NimctlError(
            f"--driver vm runs on x86_64 only; this machine is {platform.machine()}. Use --driver container."
        )
    return Recipe(
        "vm",
        ORIGIN,
        data("prepare.sh") + data("vm-guest.sh"),
        (
            ("GUEST_PACKAGES", GUEST_PACKAGES),
            ("CACHED_PACKAGES", CACHED_PACKAGES),
            ("HOST_PACKAGES", HOST_PACKAGES),
            ("DISK_MIB", str(DISK_MIB)),
        ),
        {**sources.files(), "/usr/local/sbin/vm-start": File(data("vm-start.sh").encode(), 0o755)},
        ('CMD ["/usr/local/sbin/vm-start"]',),
    )


def options(host_key: Path, node: str, address: str) -> tuple[str, ...]:
    """Options of the container that runs one machine."""
    environment = {
        "NODE": node,
        "MACHINE_ID": machine_id(host_key),
        "MAC": subnet.mac(address),
        "MEMORY": str(MEMORY_MIB),
        "CPUS": str(CPUS),
    }
    # Privileged for the tap device and for KVM.
    return ("--privileged", *(f"--env={name}={value}" for name, value in environment.items()))


def files(
    host_key: Path, authorized_key: Path, node: str, address: str, network: IPv4Network, gpus: int
) -> Files:
    """What is put into the container: the second disk of the machine, with the machine's own files.

    Args:
        host_key: The node's SSH host key; its public half beside it.
        authorized_key: Public key that may log in.
        node: Name of the node.
        address: Its IPv4 address.
        network: The lab's network.
        gpus: How many stand-ins for GPUs it gets.
    """
    gateway = subnet.Plan(network).gateway
    link = f"[Match]\nName=eth0\n\n[Network]\nAddress={address}/{network.prefixlen}\nGateway={gateway}\n"
    own = {
        **node_files(host_key, authorized_key, OWN, gpus),
        "/etc/systemd/network/10-lab.network": File(link.encode()),
        # The lab's name server, that knows the nodes.
        "/etc/resolv.conf": File(f"search dns.podman\nnameserver {gateway}\n".encode()),
        "/etc/hosts": File(f"127.0.0.1 localhost\n::1 localhost\n{address} {node}\n".encode()),
        "/etc/hostname": File(f"{node}\n".encode()),
    }
    seed = pack(own)
    # A disk has whole sectors.
    return {"/vm/seed.tar": File(seed + bytes(-len(seed) % 512), 0o600)}


def ssh(folder: Path, address: str, user: str = "root") -> Sequence[str]:
    """The command that goes into a machine, which the container engine cannot enter.

    Args:
        folder: The lab's folder of keys.
        address: The machine's address.
        user: Who logs in.
    """
    return (
        "ssh",
        *("-i", str(folder / "ssh_key")),
        *("-o", f"UserKnownHostsFile={folder / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes"),
        *("-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR"),
        f"{user}@{address}",
    )
