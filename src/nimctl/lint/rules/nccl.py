"""Settings of NCCL and Gloo that do harm, or that do less than they seem to."""

from __future__ import annotations

from nimctl.lint.containers import Container, Variable
from nimctl.lint.model import Fix, Report, Rule, rule

_EVERY = ("kubernetes", "docker", "compose", "sbatch", "env")
_GUIDE = "NCCL user guide, environment variables"

INTERFACE = rule(
    "nccl-interface-prefix",
    "warning",
    "NCCL_SOCKET_IFNAME as a prefix",
    why="Without `=` it is a prefix: ib0 also means ib0.8001 and ib01, and ranks may choose differently.",
    source=_GUIDE,
    kinds=_EVERY,
)
GLOO = rule(
    "gloo-interface-missing",
    "warning",
    "NCCL_SOCKET_IFNAME without GLOO_SOCKET_IFNAME",
    why="Gloo, which SGLang and PyTorch use beside NCCL, then chooses an interface by itself.",
    source="SGLang documentation, multi_node.md; PyTorch distributed",
    kinds=_EVERY,
)
HCA = rule(
    "nccl-hca-prefix",
    "warning",
    "NCCL_IB_HCA as a prefix",
    why="`mlx5` takes HCAs for storage and management as well, and mlx5_1 also means mlx5_10. Write "
    "=mlx5_0:1,...",
    source=_GUIDE,
    kinds=_EVERY,
)
GID = rule(
    "nccl-gid-index",
    "warning",
    "a fixed GID index",
    why="It means nothing on InfiniBand, and on RoCE it differs from node to node. NCCL from 2.21 on finds "
    "RoCE v2 by itself.",
    source=_GUIDE,
    kinds=_EVERY,
)
GDR = rule(
    "nccl-gdr-level",
    "warning",
    "NCCL_NET_GDR_LEVEL as a number",
    why="Numbers are a legacy form of 0 to 4, and greater ones mean SYS, which is everywhere. Leave it to "
    "NCCL, or write PIX, PXB, PHB or SYS.",
    source=_GUIDE,
    kinds=_EVERY,
)
DEFAULT = rule(
    "nccl-default",
    "info",
    "a setting that is the default",
    why="NCCL_IB_DISABLE=0 enables nothing: InfiniBand is used where the container gets it.",
    source=_GUIDE,
    kinds=_EVERY,
)
DEBUG = rule(
    "nccl-debug",
    "info",
    "NCCL's log in a service",
    why="INFO writes hundreds of lines for each rank and start; it is for looking for a fault.",
    source=f"{_GUIDE}; the article says the same",
    kinds=_EVERY,
)
OFF = rule(
    "nccl-rdma-off",
    "error",
    "RDMA that is asked for and switched off",
    why="The container gets HCAs, and NCCL is told not to use them: everything goes over TCP.",
    source=f"{_GUIDE}; NVIDIA's own sample of k8s-nim-operator has this fault",
    kinds=("kubernetes", "docker", "compose"),
)
HARMFUL = rule(
    "nccl-transport-off",
    "warning",
    "a fast way between GPUs that is switched off",
    why="Without peer-to-peer or shared memory GPUs of one node talk over the network. It hides a fault "
    "that is elsewhere (ACS, a small /dev/shm).",
    source=_GUIDE,
    kinds=_EVERY,
)


def check(container: Container, report: Report) -> None:
    """All rules of this module."""
    for variable in container.variables:
        if variable.origin == "literal":
            _one(container, variable, report)
    interface = container.get("NCCL_SOCKET_IFNAME")
    if (
        interface is not None
        and interface.origin == "literal"
        and container.spans_nodes
        and container.seen
        and container.get("GLOO_SOCKET_IFNAME") is None
    ):
        name = interface.value.lstrip("=^")
        added = container.add_variable("GLOO_SOCKET_IFNAME", name) if container.add_variable else ()
        fix = Fix("add it", added) if added else None
        report.add(GLOO, interface.place, f"GLOO_SOCKET_IFNAME={name} belongs beside it", fix)


def _one(container: Container, variable: Variable, report: Report) -> None:
    name, value = variable.name, variable.value
    if name == "NCCL_SOCKET_IFNAME" and value and value[0] not in "=^":
        exact = ",".join(part.strip() for part in value.split(","))
        fix = Fix(f"write ={exact}", variable.write(f"={exact}")) if variable.write else None
        report.add(INTERFACE, variable.place, f"{value} is a prefix; ={value} is exactly that interface", fix)
    elif name == "NCCL_IB_HCA" and value and not value.startswith(("=", "^=")):
        numbered = all(part[-1:].isdigit() and "_" in part for part in value.lstrip("^").split(","))
        exact = f"^={value[1:]}" if value.startswith("^") else f"={value}"
        fix = Fix(f"write {exact}", variable.write(exact)) if numbered and variable.write else None
        report.add(
            HCA, variable.place, f"{value} is a prefix; name HCAs and ports, as in =mlx5_0:1,mlx5_3:1", fix
        )
    elif name == "NCCL_IB_GID_INDEX":
        _take_out(GID, variable, "nothing on InfiniBand, and another number on each node of RoCE", report)
    elif name == "NCCL_NET_GDR_LEVEL" and value.isdigit():
        _take_out(
            GDR,
            variable,
            f"{value} is a legacy number; leave it to NCCL, or write PIX, PXB, PHB or SYS",
            report,
        )
    elif name == "NCCL_IB_DISABLE" and value == "0":
        _take_out(DEFAULT, variable, "NCCL_IB_DISABLE=0 is the default", report)
    elif name == "NCCL_DEBUG" and value.upper() in ("INFO", "TRACE"):
        report.add(DEBUG, variable.place, f"NCCL_DEBUG={value} is for looking for a fault, not for a service")
    elif name in ("NCCL_P2P_DISABLE", "NCCL_SHM_DISABLE") and value == "1":
        _take_out(HARMFUL, variable, f"{name}=1 sends what GPUs of one node say over the network", report)
    if container.rdma and (name, value.lower()) in (("NCCL_IB_DISABLE", "1"), ("NCCL_NET", "socket")):
        _take_out(OFF, variable, f"{name}={value} keeps NCCL from the HCAs that are asked for", report)


def _take_out(about: Rule, variable: Variable, message: str, report: Report) -> None:
    fix = Fix("take it out", variable.remove) if variable.remove else None
    report.add(about, variable.place, message, fix)
