"""One module for each layer of the stack, each with ``plan(question) -> LayerPlan``.

``LAYERS`` has them in the order in which a run takes them: RDMA before the driver, whose peer memory
module is built against it; the driver before what has to fit it.
"""

from __future__ import annotations

LAYERS: tuple[str, ...] = (
    "tuning",
    "rdma",
    "driver",
    "fabric_manager",
    "container_toolkit",
    "gpu_direct",
    "nccl",
    "storage_nfs",
    "storage_lustre",
    "storage_local",
    "firewall",
)

ROLES = {
    "tuning": "node_tuning",
    "rdma": "rdma",
    "driver": "nvidia_driver",
    "fabric_manager": "nvidia_fabric",
    "container_toolkit": "nvidia_container_toolkit",
    "gpu_direct": "gpu_direct",
    "nccl": "nccl",
    "storage_nfs": "storage_nfs",
    "storage_lustre": "storage_lustre",
    "storage_local": "storage_local",
    "firewall": "firewall",
}
"""The role of each layer; its variables begin with the role's name."""
