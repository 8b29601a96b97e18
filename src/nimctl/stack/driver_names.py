"""The names that the driver and what goes with it have as packages, by distribution, branch and publisher."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from nimctl.errors import RefusedError
from nimctl.stack.host import Host
from nimctl.stack.plan import Question, Repository
from nimctl.stack.repositories import repository
from nimctl.stack.rows import Distribution, DriverPackages
from nimctl.stack.versions import Source, Versions

FAMILY: tuple[str, ...] = (
    "cuda-drivers*",
    "firmware-nvidia-gsp*",
    "kmod-nvidia*",
    "libcuda1*",
    "libnvidia-cfg*",
    "libnvidia-common*",
    "libnvidia-compute*",
    "libnvidia-decode*",
    "libnvidia-encode*",
    "libnvidia-extra*",
    "libnvidia-fbc*",
    "libnvidia-gl*",
    "libnvidia-gpucomp*",
    "libnvidia-ml*",
    "libnvidia-nscq*",
    "libnvsdm*",
    "nvidia-compute-utils*",
    "nvidia-dkms*",
    "nvidia-driver",
    "nvidia-driver-[0-9cflo]*",
    "nvidia-fabric*",
    "nvidia-firmware*",
    "nvidia-headless*",
    "nvidia-imex*",
    "nvidia-kernel-[0-9]*",
    "nvidia-kernel-common-*",
    "nvidia-kernel-dkms*",
    "nvidia-kernel-open*",
    "nvidia-kernel-source*",
    "nvidia-kernel-support*",
    "nvidia-kmod-common",
    "nvidia-open*",
    "nvidia-persistenced",
    "nvidia-smi",
    "nvidia-utils*",
    "nvlink5*",
    "xserver-xorg-video-nvidia*",
)
"""Packages that carry the driver's version, whoever made them: they are of one release or not there.

Not ``nvidia-driver-pinning-*``, nor the container toolkit, nor NVLSM, which have versions of their own.
"""

FABRIC_BEGINS: Mapping[str, tuple[str, ...]] = {
    "manager": ("nvidia-fabricmanager", "nvidia-fabric-manager"),
    "nscq": ("libnvidia-nscq",),
    "nvsdm": ("libnvsdm",),
    "imex": ("nvidia-imex",),
}
"""How the names of what goes with the driver begin, in all branches."""


def row_for(tables: Versions, publisher: Source, distribution: Distribution, branch: int) -> DriverPackages:
    """The names for a branch on a distribution. Raises RefusedError where nobody has written them down."""
    for row in reversed(list(tables.driver_packages.values())):
        fits = row.publisher == publisher and set(row.distributions) & set(distribution.ids)
        if fits and row.first_branch <= branch <= row.last_branch:
            return row
    whose = "NVIDIA's" if publisher == "nvidia" else "the distribution's"
    raise RefusedError(
        f"the names of {whose} packages of branch {branch} for {distribution.name} are not known; choose "
        "another branch or stack.driver.source, or add a row to driver_packages in a file stack.yml beside "
        "the description"
    )


def spelled(names: Iterable[str], branch: int, version: str, kernel: str) -> list[str]:
    """Names with their placeholders filled in."""
    short = re.match(r"[\d.]+-[\d.]*\d", kernel)
    words = {
        "branch": branch,
        "version": version,
        "kernel": kernel,
        "kernel_short": short.group() if short else kernel,
    }
    return [name.format(**words) for name in names]


def source_of(question: Question, publisher: Source, distribution: Distribution) -> Repository:
    """Where the packages come from; the distribution's own stand for whatever sources the node has."""
    if publisher == "distribution":
        return Repository("distribution", distribution.manager, "", "", "")
    mirrors = question.context.get("mirrors") or {}
    return repository(question.versions, "nvidia", distribution, question.host.system.architecture, mirrors)


def family(host: Host) -> tuple[str, ...]:
    """The patterns for one host. Debian's ``nvidia-kernel-common`` has a version of its own, a date."""
    return FAMILY if host.system.distribution == "debian" else (*FAMILY, "nvidia-kernel-common")


def has_family(host: Host) -> bool:
    """Whether any package of a driver is installed."""
    return any(fnmatchcase(name, pattern) for name in host.packages for pattern in FAMILY)


def fabric_there(host: Host) -> list[str]:
    """The products of the fabric of which a package is installed, whatever its branch."""
    return [
        product
        for product, begins in FABRIC_BEGINS.items()
        if any(name.startswith(begins) and "dev" not in name for name in host.packages)
    ]
