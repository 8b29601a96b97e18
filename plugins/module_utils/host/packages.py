"""Installed packages that matter to the host stack, and which of them are held."""

from __future__ import annotations

import fnmatch
import re
import subprocess
from typing import Any, Iterator

from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

STATUS = "/var/lib/dpkg/status"
MATTER = re.compile(
    r"^(nvidia.*|libnvidia.*|xserver-xorg-video-nvidia.*|cuda-(drivers|keyring|compat).*|libcuda1|libnccl.*|nccl.*"
    r"|libnscq.*|libnvsdm.*|nvlsm|nvlink.*|collectx.*|datacenter-gpu-manager.*|dkms|kmod-.*|akmod-.*|gdrcopy.*|gdrdrv.*"
    r"|libgdrapi.*|libcufile.*|gds-tools.*"
    r"|docker.*|containerd.*|podman.*|runc|crun|cri-o|moby-.*"
    r"|rdma-core.*|ibverbs.*|libibverbs.*|librdmacm.*|rdmacm.*|infiniband-diags|libibumad.*|perftest|mstflint|mft.*"
    r"|doca.*|mlnx.*|ofed.*|openmpi|ucx.*|opensm.*"
    r"|nfs-.*|rpcbind|lustre.*|amlfs.*|linux-(image|headers|modules-nvidia|objects-nvidia|signatures-nvidia)-.*"
    r"|kernel(-core|-devel|-headers|-modules)?|proxmox-kernel-.*"
    r"|nftables|firewalld|ufw|mokutil|shim-signed.*|tuned|cpupower|linux-tools-.*|numactl|irqbalance|unattended-upgrades"
    r"|python3-dnf-plugin-versionlock|numad)$"
)
RPM = [
    "rpm",
    "--query",
    "--all",
    "--queryformat",
    "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\n",
]
VERSION_LOCKS = ("/etc/dnf/plugins/versionlock.list", "/etc/yum/pluginconf.d/versionlock.list")


def read(tree: Tree) -> dict[str, Any]:
    """``package_manager`` and ``packages``."""
    if tree.exists(STATUS):
        return {"package_manager": "apt", "packages": _dpkg(tree)}
    if tree.exists("/usr/bin/dnf") or tree.exists("/listings/packages"):
        return {"package_manager": "dnf", "packages": _rpm(tree)}
    return {"package_manager": "", "packages": {}}


def _dpkg(tree: Tree) -> dict[str, Any]:
    """Packages by name; one of a foreign architecture as ``name:architecture``."""
    found: dict[str, Any] = {}
    unfinished = []
    for stanza in tree.text(STATUS).split("\n\n"):
        name = stanza.partition("\n")[0].partition(": ")[2]
        if not MATTER.match(name):
            continue
        fields = dict(re.findall(r"^(Status|Version|Architecture): (.*)$", stanza, re.MULTILINE))
        # "install ok installed": what is wanted, an error flag, what is.
        status = fields.get("Status", "")
        wanted, state = status.partition(" ")[0], status.rpartition(" ")[2]
        if state in ("half-installed", "unpacked", "half-configured", "triggers-awaited", "triggers-pending"):
            unfinished.append(f"{name} ({state})")
        elif state != "installed":
            continue
        key = name if name not in found else f"{name}:{fields.get('Architecture', '')}"
        found[key] = {"version": fields.get("Version", ""), "held": wanted == "hold"}
    if unfinished:
        tree.problem(
            f"packages are not fully installed: {', '.join(unfinished)}; dpkg --configure -a goes on"
        )
    return found


def _rpm(tree: Tree) -> dict[str, Any]:
    locks = list(_locks(tree))
    found: dict[str, Any] = {}
    for line in rpm_lines(tree):
        name, version, architecture = line.split("\t")[:3]
        if not MATTER.match(name) or architecture == "i686":
            continue
        known = found.get(name)
        shown = version[2:] if version.startswith("0:") else version
        # Several kernels are installed beside each other; the newest is the last in this order.
        if known is None or _order(shown) > _order(known["version"]):
            full = (
                f"{name}-{version}.{architecture}",
                f"{name}-{shown}.{architecture}",
                f"{name}-{shown}",
                name,
            )
            held = any(fnmatch.fnmatchcase(text, lock) for lock in locks for text in full)
            found[name] = {"version": shown, "held": held}
    return found


def _order(version: str) -> list[tuple[bool, int, str]]:
    """A rough order of rpm versions: numbers as numbers."""
    return [
        (part.isdigit(), int(part) if part.isdigit() else 0, part)
        for part in re.findall(r"\d+|[a-z]+", version)
    ]


def rpm_lines(tree: Tree) -> list[str]:
    """The database is no text: rpm is asked on a live host, a recorded one has a listing."""
    if tree.exists("/listings/packages"):
        return tree.lines("/listings/packages")
    if tree.root != "/":
        tree.problem("the packages of an rpm host are only known where it is the running one")
        return []
    try:
        done = subprocess.run(  # noqa: S603 - a literal command
            RPM, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        tree.problem(f"rpm does not tell which packages are installed: {error}")
        return []
    return done.stdout.splitlines()


def _locks(tree: Tree) -> Iterator[str]:
    """Patterns of what dnf must not change."""
    for path in VERSION_LOCKS:
        # A line with ! excludes a version; it holds nothing.
        yield from (line for line in tree.lines(path) if not line.startswith("!"))
    for line in tree.lines("/etc/dnf/versionlock.toml"):
        match = re.match(r"""^name\s*=\s*["'](.+)["']$""", line)
        if match:
            yield match[1]
