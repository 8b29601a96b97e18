"""A lab's description with every layer managed that a container can carry.

The nodes are given the looks of HGX machines, so that the layers of GPUs and InfiniBand apply to them. Kernel
modules are written and not loaded. NFS stays out, because it needs a kernel of its own, and so does Lustre,
which has no packages; DOCA-OFED and soft RoCE exclude the stack of the distribution, which is used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

DRIVER = "580.126.20"
"""What the recorded machine has loaded: another one would wait for a reboot."""

GROUP_VARS = {"nim_probe_kernel": "/opt/nimctl-host"}


def describe(inventory: Path, fingerprint: str) -> None:
    """Rewrite the description of a lab that is up. ``fingerprint`` is that of the mirror's key."""
    file = inventory / "cluster.yml"
    description: dict[str, Any] = yaml.safe_load(file.read_text())
    nodes = description["nodes"][0]
    first = nodes["addresses"].replace("[", "").split("-")[0]
    mirror = f"http://{first}:8090"
    description["stack"] = {
        "container_engine": description["stack"]["container_engine"],
        "driver": {"version": DRIVER},
        "gpu_direct": {"storage": True, "cufile": {"logging": {"level": "ERROR"}}},
        "nccl": {"library": True, "tests": True},
        "tuning": {"sysctls": {"net.core.somaxconn": 8192}},
        "firewall": {"api_allow": ["192.0.2.0/24"]},
        "mirrors": {
            "nvidia": {"url": f"{mirror}/nvidia", "key": fingerprint},
            "container_toolkit": {"url": f"{mirror}/toolkit", "key": fingerprint},
        },
    }
    description["nodes"] = [
        {
            **nodes,
            "gpu": {"model": "h100-sxm", "count": 8},
            "fabric": {"kind": "infiniband", "rate": "ndr", "ports": 8},
        }
    ]
    description["storage"] = [
        {"kind": "local", "mount": "/scratch"},
        {"kind": "existing", "mount": "/shared"},
    ]
    demo = description["deployments"][0]
    # A replica on each pair of nodes, so that every node has a rank.
    pairs = int(nodes["hosts"].rstrip("]").split("-")[-1]) // 2
    description["deployments"] = [{**demo, "hosts": nodes["hosts"], "replicas": pairs, "gpus": [0]}]
    file.write_text(yaml.safe_dump(description, sort_keys=False))
    variables = inventory / "group_vars" / "all.yml"
    variables.parent.mkdir(exist_ok=True)
    variables.write_text(yaml.safe_dump(GROUP_VARS))
