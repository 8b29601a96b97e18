"""Limits and kernel settings that decide about speed, or about whether a rank starts."""

from __future__ import annotations

from typing import Any

from ansible_collections.nimctl.multinode.plugins.module_utils.host import pci
from ansible_collections.nimctl.multinode.plugins.module_utils.host.tree import Tree

SYSCTLS = (
    "fs.aio-max-nr",
    "fs.file-max",
    "fs.inotify.max_user_instances",
    "fs.inotify.max_user_watches",
    "fs.nr_open",
    "kernel.numa_balancing",
    "kernel.panic",
    "kernel.pid_max",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.threads-max",
    "net.core.default_qdisc",
    "net.core.netdev_max_backlog",
    "net.core.rmem_default",
    "net.core.rmem_max",
    "net.core.somaxconn",
    "net.core.wmem_default",
    "net.core.wmem_max",
    "net.ipv4.conf.all.arp_announce",
    "net.ipv4.conf.all.arp_ignore",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.neigh.default.gc_thresh1",
    "net.ipv4.neigh.default.gc_thresh2",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
    "sunrpc.tcp_max_slot_table_entries",
    "sunrpc.tcp_slot_table_entries",
    "vm.max_map_count",
    "vm.min_free_kbytes",
    "vm.nr_hugepages",
    "vm.overcommit_memory",
    "vm.swappiness",
    "vm.zone_reclaim_mode",
)
HUGEPAGES = "/sys/kernel/mm/hugepages"
FREQUENCY = "/sys/devices/system/cpu/cpufreq"


def read(tree: Tree) -> dict[str, Any]:
    """Everything of ``nimctl.stack.host.Tuning``."""
    manager = _systemd(tree, "system.conf")
    keep = _systemd(tree, "logind.conf").get("RemoveIPC")
    sysctls = _sysctls(tree)
    return {
        "sysctls": sysctls,
        "memlock": manager.get("DefaultLimitMEMLOCK", ""),
        "nofile": manager.get("DefaultLimitNOFILE", ""),
        "limits": _limits(tree),
        "remove_ipc": None if keep is None else keep.lower() in ("yes", "true", "on", "1"),
        "hugepages": _hugepages(tree),
        "transparent_hugepages": _chosen(tree.text("/sys/kernel/mm/transparent_hugepage/enabled")),
        "governor": ",".join(
            sorted({tree.text(f"{FREQUENCY}/{name}/scaling_governor") for name in _policies(tree)})
        ),
        "iommu": _iommu(tree),
        "acs": pci.acs(tree),
        "numa_balancing": sysctls["kernel.numa_balancing"] != "0"
        if "kernel.numa_balancing" in sysctls
        else None,
    }


def _sysctls(tree: Tree) -> dict[str, str]:
    found = {name: tree.text("/proc/sys/" + name.replace(".", "/")) for name in SYSCTLS}
    return {name: " ".join(value.split()) for name, value in found.items() if value}


def _systemd(tree: Tree, file: str) -> dict[str, str]:
    """The settings of a file of systemd and its drop-ins; see systemd-system.conf(5) for which one wins."""
    places = [f"{folder}/systemd" for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib")]
    main = next((f"{place}/{file}" for place in places if tree.exists(f"{place}/{file}")), "")
    # A drop-in hides those of the same name in later places; all of them apply in the order of their names.
    drop_ins: dict[str, str] = {}
    for place in reversed(places):
        drop_ins.update({name: f"{place}/{file}.d/{name}" for name in tree.names(f"{place}/{file}.d")})
    found: dict[str, str] = {}
    for path in [main, *(drop_ins[name] for name in sorted(drop_ins) if name.endswith(".conf"))]:
        pairs = (
            line.partition("=") for line in (tree.lines(path) if path else []) if not line.startswith(";")
        )
        found.update({name.strip(): value.strip() for name, equals, value in pairs if equals})
    return found


def _limits(tree: Tree) -> dict[str, str]:
    """Limits of login sessions for everybody: ``hard memlock`` to its value; later files win."""
    folder = "/etc/security/limits.d"
    found = {}
    for path in [
        "/etc/security/limits.conf",
        *(f"{folder}/{name}" for name in tree.names(folder) if name.endswith(".conf")),
    ]:
        for line in tree.lines(path):
            words = line.split()
            if len(words) >= 4 and words[0] == "*":
                for kind in ("hard", "soft") if words[1] == "-" else (words[1],):
                    found[f"{kind} {words[2]}"] = words[3]
    return found


def _hugepages(tree: Tree) -> dict[str, int]:
    """Reserved pages by their size in KiB; sizes without any are left out."""
    found = {}
    for name in tree.names(HUGEPAGES):
        count = tree.number(f"{HUGEPAGES}/{name}/nr_hugepages")
        if count:
            found[name.partition("-")[2].partition("kB")[0]] = count
    return found


def _chosen(text: str) -> str:
    """The word in brackets, where the kernel lists a choice."""
    return next((word.strip("[]") for word in text.split() if word.startswith("[")), "")


def _policies(tree: Tree) -> list[str]:
    return [name for name in tree.names(FREQUENCY) if name.startswith("policy")]


def _iommu(tree: Tree) -> str:
    """How DMA of devices is translated, from the groups of the kernel: off where there are none."""
    groups = "/sys/kernel/iommu_groups"
    names = tree.names(groups)
    if not names:
        return "off" if tree.exists("/sys/kernel") else ""
    kinds = {tree.text(f"{groups}/{name}/type") for name in names}
    if not kinds - {""}:
        return ""
    # One group that is translated is enough to have to know it.
    return "passthrough" if kinds <= {"identity"} else "translated"
