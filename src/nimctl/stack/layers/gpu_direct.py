"""GPUDirect: HCAs, and storage where asked for, read and write GPU memory without a copy in between.

For RDMA, DMA-BUF comes first: NVIDIA recommends it, and it needs no further module. nvidia-peermem is for
hosts where DMA-BUF cannot be; it is loaded at the next boot and never beside ranks that run. GPUDirect
Storage is the module nvidia-fs with ``/etc/cufile.json``.

Rules with their sources are rows of ``rules``. Context of its own: ``hcas``, the HCAs of the node that
carry the cluster's traffic (none: every port that is up).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from nimctl.description.document import GpuDirect
from nimctl.stack.exact import exact_versions, locked, package_changes, published
from nimctl.stack.host import Host
from nimctl.stack.numbers import older, upstream
from nimctl.stack.plan import LayerPlan, Question, RefusedError

LAYER = "gpu_direct"
PEERMEM = "nvidia_peermem"
STORAGE = "nvidia_fs"
STORAGE_PACKAGES = ("nvidia-fs", "nvidia-fs-dkms")
OFED = ("doca-ofed", "mlnx-ofed-kernel", "mlnx-ofa_kernel", "doca-kernel")
"""Beginnings of the names of packages that bring another RDMA stack than the kernel's own."""

Method = Literal["dma-buf", "peermem", "none"]


def plan(question: Question) -> LayerPlan:
    """What a host needs for GPUDirect. Raises RefusedError, AskError."""
    settings: GpuDirect = question.settings
    host = question.host
    if settings.mode == "ignore":
        return LayerPlan(LAYER, {"steps": "ignore"})
    if not host.gpus:
        why = "This node has no NVIDIA GPU, so GPUDirect is not for it."
        return LayerPlan(LAYER, {"steps": "nothing"}, notes=(why,))
    method, notes = _method(question)
    load = [PEERMEM] if method == "peermem" else []
    values: dict[str, Any] = {
        "steps": settings.mode,
        "method": method,
        "storage": False,
        "names": [],
        "versions": {},
        "repositories": [],
        "cufile": {},
    }
    will: list[str] = []
    if settings.storage:
        storage, changes = _storage(question)
        values |= storage
        will += changes
        load.append(STORAGE)
        if not _has_ofed(host):
            notes += (
                "GPUDirect Storage is built against the kernel's own RDMA and NVMe drivers. Where it needs "
                "those of DOCA-OFED, set stack.rdma.source to doca before.",
            )
    values["load"] = load
    absent = [name for name in load if name not in host.modules]
    pending = tuple(
        f"{name} is loaded at the next boot; it is never loaded beside ranks that run." for name in absent
    )
    will += [f"load {name} at boot" for name in absent]
    return LayerPlan(
        LAYER, values, will=tuple(will), cost="reboot" if absent else "none", pending=pending, notes=notes
    )


def flavour(question: Question) -> str:
    """The kind of kernel modules at the next boot: as planned, on disk, loaded, or best for the GPUs."""
    driver = question.host.driver
    planned = question.plans.get("driver")
    found = [
        str(planned.values.get("modules", "")) if planned else "",
        next((module.flavour for module in driver.base_modules), ""),
        driver.flavour,
    ]
    known = next((kind for kind in found if kind in ("open", "proprietary")), "")
    if known:
        return known
    tables = question.versions
    rows = [tables.generations[name] for name in tables.generations_of(gpu.id for gpu in question.host.gpus)]
    return "open" if rows and all("open" in row.modules for row in rows) else "proprietary"


def _method(question: Question) -> tuple[Method, tuple[str, ...]]:
    """How HCAs reach GPU memory, and what people should know of it."""
    wanted = question.settings.method
    if not question.host.infiniband:
        return "none", ("This node has no RDMA device, so there is nothing for GPUDirect RDMA to do.",)
    no_dma_buf = _why_not_dma_buf(question)
    no_peermem = _why_not_peermem(question.host)
    if wanted == "dma-buf" or (wanted == "auto" and not no_dma_buf):
        if no_dma_buf:
            raise RefusedError(
                f"gpu_direct: DMA-BUF is asked for and cannot be: {no_dma_buf}. Set stack.gpu_direct.method "
                "to auto for nvidia-peermem where that can be."
            )
        return "dma-buf", ()
    if no_peermem:
        if wanted == "peermem":
            raise RefusedError(
                f"gpu_direct: nvidia-peermem is asked for and cannot be: {no_peermem}. Set "
                "stack.gpu_direct.method to auto, or stack.rdma.source to doca."
            )
        return "none", (
            f"Without GPUDirect RDMA, traffic between nodes goes through host memory. DMA-BUF cannot be: "
            f"{no_dma_buf}. nvidia-peermem cannot be: {no_peermem}.",
        )
    return "peermem", ()


def _why_not_dma_buf(question: Question) -> str:
    """Empty where DMA-BUF works."""
    rules = question.versions.rules
    modules, kernel = rules["dma-buf-open-modules"], rules["dma-buf-kernel"]
    if flavour(question) != "open":
        return f"the kernel modules are proprietary, and {modules.says} ({modules.source})"
    release = question.host.system.kernel
    if kernel.minimum and older(release, kernel.minimum):
        return f"the kernel is {release}, and at least {kernel.minimum} is needed ({kernel.source})"
    return ""


def _why_not_peermem(host: Host) -> str:
    """Empty where nvidia-peermem works."""
    if host.driver.installed and PEERMEM not in host.available_modules:
        return f"the driver that is installed has no module {PEERMEM} for the kernel {host.system.kernel}"
    # Canonical carries the interface in Ubuntu's kernels (from memory); the kernel itself never took it.
    if host.system.distribution != "ubuntu" and not _has_ofed(host):
        return "the RDMA drivers of this kernel have no peer memory interface, which those of DOCA-OFED have"
    return ""


def _has_ofed(host: Host) -> bool:
    return any(name.startswith(OFED) for name in host.packages)


def _storage(question: Question) -> tuple[dict[str, Any], list[str]]:
    """What GPUDirect Storage consists of, and what of it is missing. Raises RefusedError, AskError."""
    host, rules = question.host, question.versions.rules
    modules, secure = rules["gds-open-modules"], rules["gds-secure-boot"]
    if flavour(question) != "open":
        raise RefusedError(
            f"gpu_direct: GPUDirect Storage is asked for, and {modules.says} ({modules.source}); this node "
            "has proprietary ones. Set stack.driver.modules to open, or stack.gpu_direct.storage to false."
        )
    if host.system.secure_boot:
        raise RefusedError(
            f"gpu_direct: GPUDirect Storage is asked for, and {secure.says} ({secure.source}), which is on "
            "here. Turn Secure Boot off in the firmware, or set stack.gpu_direct.storage to false."
        )
    repository = published(question, "nvidia")
    there = host.packages.get(STORAGE_PACKAGES[0])
    version = locked(question, LAYER) or (upstream(there.version) if there else "")
    if not version:
        offers = question.offers.versions(repository, STORAGE_PACKAGES)[STORAGE_PACKAGES[0]]
        if not offers:
            raise RefusedError(
                f"gpu_direct: {repository.url} has no package {STORAGE_PACKAGES[0]}. Bring the mirror up to "
                "date, or set stack.gpu_direct.storage to false."
            )
        version = upstream(offers[0])
    versions = exact_versions(
        question, repository, STORAGE_PACKAGES, version, "the lock (nimctl lock --upgrade gpu_direct)"
    )
    values = {
        "storage": True,
        "version": version,
        "versions": versions,
        "names": _headers(host),
        "repositories": [asdict(repository)],
        "cufile": _cufile(question),
    }
    return values, package_changes(host, versions, list(versions))


def _headers(host: Host) -> list[str]:
    """What DKMS builds against, where it is missing."""
    if host.system.headers:
        return []
    name = "linux-headers" if host.package_manager == "apt" else "kernel-devel"
    return [f"{name}-{host.system.kernel}"]


def _cufile(question: Question) -> dict[str, Any]:
    """Keys of cufile.json: the addresses of the RDMA interfaces, below what the description says."""
    given = dict(question.settings.cufile)
    addresses = _addresses(question.host, question.context.get("hcas") or [])
    if addresses:
        given["properties"] = {"rdma_dev_addr_list": addresses, **given.get("properties", {})}
    return given


def _addresses(host: Host, hcas: Sequence[str]) -> list[str]:
    """The first address of each interface of an RDMA port that is up."""
    chosen = {hca.partition(":")[0] for hca in hcas}
    devices = [
        port.netdev
        for port in host.infiniband
        if port.state == "ACTIVE" and (not chosen or port.device in chosen)
    ]
    interfaces = {interface.name: interface.addresses for interface in host.interfaces}
    found = [interfaces[name][0].partition("/")[0] for name in devices if interfaces.get(name)]
    return list(dict.fromkeys(found))
