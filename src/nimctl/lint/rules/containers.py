"""Images, folders, shared memory, devices and secrets of containers of every kind."""

from __future__ import annotations

from collections.abc import Sequence

from nimctl.lint.containers import Container, MountPoint
from nimctl.lint.facts import secret_arguments, secret_variables
from nimctl.lint.model import Edit, Fix, Report, rule
from nimctl.lint.readers.docker import Run, insert_option

_EVERY = ("kubernetes", "docker", "compose", "sbatch", "env")
_CONTAINERS = ("kubernetes", "docker", "compose")
CACHE = "/opt/nim/.cache"
SHM = "/dev/shm"  # noqa: S108 - where shared memory is
_FLOATING = frozenset({"latest", "main", "master", "nightly", "dev", "edge", "stable"})

FLOATING = rule(
    "image-floating-tag",
    "warning",
    "a tag that moves",
    why="Ranks that pull on different days run different images. Name a release, or better a digest.",
    source="docs/how-to/lock.md",
    kinds=_CONTAINERS,
)
DIFFERS = rule(
    "image-differs",
    "error",
    "ranks of one replica with different images",
    why="Ranks speak a protocol that is the same only within one image.",
    source="docs/explanation/complaints.md",
    kinds=("kubernetes",),
)
SECRET = rule(
    "secret-literal",
    "error",
    "a secret in the file",
    why="Who can read the file, the process list or `docker inspect` has the key. Name where it is read "
    "instead: a Secret, or a file of mode 0600 with --env-file.",
    source="Kubernetes documentation, Secrets; docs/explanation/secrets.md",
    kinds=_EVERY,
)
SECRET_ARGUMENT = rule(
    "secret-in-arguments",
    "error",
    "a secret in a command line",
    why="Arguments are seen by every user of the node, in the process list and in `docker inspect`.",
    source="docker documentation, --env-file; docs/explanation/secrets.md",
    kinds=_EVERY,
)
NO_CACHE = rule(
    "nim-cache-not-mounted",
    "error",
    "a NIM cache that goes with its container",
    why="NIM writes to /opt/nim/.cache (or NIM_CACHE_PATH). Where that is no volume, each new container "
    "downloads everything again: 642 GiB for DeepSeek-R1, on every rank.",
    source="NIM LLM documentation, NIM_CACHE_PATH; dgxc-benchmarking README (641.3 GiB)",
    kinds=_CONTAINERS,
)
UNUSED = rule(
    "mount-unused",
    "warning",
    "a folder that nothing in the container reads",
    why="No variable and no argument names it, and NIM looks into its cache only.",
    source="NIM LLM documentation, NIM_CACHE_PATH",
    kinds=_CONTAINERS,
)
NO_SHM = rule(
    "shm-missing",
    "warning",
    "several GPUs with the default /dev/shm",
    why="64 MiB are too little for NCCL, which then fails with `failed to extend /dev/shm/nccl-...`.",
    source="NCCL user guide, troubleshooting; NIM LLM 1.3.0 support matrix (16 GB)",
    kinds=_CONTAINERS,
)
NO_RDMA = rule(
    "rdma-missing",
    "warning",
    "ranks on several nodes without RDMA devices",
    why="Without /dev/infiniband and IPC_LOCK there are no verbs, and NCCL falls back to TCP without a "
    "word. In Kubernetes a pod needs a resource such as rdma/rdma_shared_device_a. On a network without "
    "RDMA say so with NCCL_IB_DISABLE=1.",
    source="Mellanox/k8s-rdma-shared-dev-plugin; NIM documentation for DGX Spark (--device /dev/infiniband)",
    kinds=_CONTAINERS,
)
NO_LOCK = rule(
    "rdma-without-ipc-lock",
    "error",
    "RDMA without the right to lock memory",
    why="Registering memory with an HCA fails without IPC_LOCK, and NCCL falls back to TCP.",
    source="Mellanox/network-operator, all RDMA samples",
    kinds=_CONTAINERS,
)


def check(container: Container, report: Report) -> None:
    """Rules for any container; for variables alone those about secrets."""
    _secrets(container, report)
    if container.reference is None:
        return
    reference = container.reference
    if reference.digest is None and (reference.tag or "latest").lower() in _FLOATING:
        report.add(
            FLOATING, container.image_place, f"{container.image}: {reference.tag} moves; name a release"
        )
    if container.is_nim:
        _folders(container, report)
    parallel = any(
        (container.number(f"NIM_{name}_PARALLEL_SIZE") or 1) > 1 for name in ("TENSOR", "PIPELINE")
    )
    if ((container.gpus or 0) > 1 or parallel) and container.engine and not container.shm:
        report.add(NO_SHM, container.place, "several GPUs need more shared memory than the default of 64 MiB")


def _secrets(container: Container, report: Report) -> None:
    for variable in container.variables:
        if variable.name not in secret_variables() or variable.origin not in ("literal", "expanded"):
            continue
        if container.kind == "docker" and container.image:
            report.add(
                SECRET_ARGUMENT,
                variable.place,
                f"the value of {variable.name} is in the command line; pass only the name on, or use "
                f"--env-file",
                _pass_on(container, variable.name),
            )
        elif variable.origin == "literal" and variable.value and container.kind != "env":
            report.add(SECRET, variable.place, f"the value of {variable.name} stands in the file")
    for index, text in enumerate(container.words):
        name, joined, value = text.partition("=")
        if name in secret_arguments():
            value = value if joined else "".join(container.words[index + 1 : index + 2])
            if value and not value.startswith("$("):
                report.add(SECRET_ARGUMENT, container.place, f"{name} has its secret in the command line")


def _pass_on(container: Container, name: str) -> Fix | None:
    """``-e NAME`` without a value: docker takes it from the environment of whoever calls it."""
    variable = container.get(name)
    if variable is None or variable.write is None:
        return None
    (edit,) = variable.write("")
    # From the equals sign on: a name alone is passed on.
    return Fix("pass on only the name", (Edit(edit.start - 1, edit.end, ""),))


def _folders(container: Container, report: Report) -> None:
    cache = container.value("NIM_CACHE_PATH") or CACHE
    texts = [variable.value for variable in container.variables] + container.words
    unused = []
    for mount in container.mounts:
        own = container.kind != "kubernetes" or mount.source.startswith("claim:")
        if own and mount.target and not _is_named(mount, cache, texts):
            unused.append(mount)
            report.add(UNUSED, mount.place, f"nothing reads {mount.target}: NIM looks into {cache}")
    local = (container.value("NIM_MODEL_NAME") or container.value("NIM_MODEL_PATH") or "").startswith("/")
    if local or any(_covers(mount.target, cache) for mount in container.mounts):
        return
    place = container.place
    fix = None
    writable = [mount for mount in unused if not mount.read_only and mount.retarget]
    if len(writable) == 1 and writable[0].retarget is not None:
        fix = Fix(f"mount it at {cache}", writable[0].retarget(cache))
        place = writable[0].place
    elif isinstance(container.run, Run):
        fix = Fix("keep it on the node", insert_option(container.run, f"-v /var/cache/nim:{cache}"))
    report.add(
        NO_CACHE, place, f"NIM writes to {cache}, which is no volume here: it downloads again each time", fix
    )


def _is_named(mount: MountPoint, cache: str, texts: Sequence[str]) -> bool:
    if mount.target == SHM or _covers(mount.target, cache) or _covers(cache, mount.target):
        return True
    return mount.target.startswith(("/etc", "/run", "/var/run", "/dev", "/tmp", "/sys", "/proc")) or any(  # noqa: S108
        mount.target in text for text in texts
    )


def _covers(folder: str, path: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def check_rdma(container: Container, report: Report) -> None:
    """Whether ranks on several nodes reach the HCAs of their nodes."""
    if container.reference is None or not container.engine:
        return
    if container.rdma and not container.ipc_lock:
        report.add(NO_LOCK, container.place, "RDMA needs the capability IPC_LOCK", _lock(container))
        return
    if container.rdma or not container.spans_nodes or container.value("NCCL_IB_DISABLE") == "1":
        return
    interface = (container.value("NCCL_SOCKET_IFNAME") or "").lstrip("=")
    meant = interface.startswith("ib") or container.get("NCCL_IB_HCA") or container.get("NCCL_IB_DISABLE")
    message = "this rank gets no RDMA device, so NCCL talks TCP to the other nodes"
    if isinstance(container.run, Run):
        edits = (
            *insert_option(container.run, "--device /dev/infiniband"),
            *(() if container.ipc_lock else insert_option(container.run, "--cap-add IPC_LOCK")),
        )
        fix = Fix("give it /dev/infiniband and IPC_LOCK", edits)
        report.add(NO_RDMA, container.place, message, fix, severity="error" if meant else None)
    else:
        report.add(NO_RDMA, container.place, message)


def _lock(container: Container) -> Fix | None:
    if isinstance(container.run, Run):
        return Fix("add it", insert_option(container.run, "--cap-add IPC_LOCK"))
    if container.add_capability is not None:
        return Fix("add it", container.add_capability("IPC_LOCK"))
    return None
