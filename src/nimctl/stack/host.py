"""What a host is: the result of the module ``host_probe``, typed.

Every part has a default that means "not there", so that a recorded host or a test names only what it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Part(BaseModel):
    """A part of a host. Keys that this nimctl does not know are passed over: the probe may be newer."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class System(Part):
    """The operating system and the kernel that runs."""

    distribution: str = Field("", description="ID of os-release: debian, ubuntu, rhel, rocky, almalinux")
    version: str = Field("", description="VERSION_ID of os-release, such as 24.04")
    codename: str = ""
    like: tuple[str, ...] = Field((), description="ID_LIKE of os-release")
    architecture: str = Field("x86_64", description="As uname -m says it")
    vendor: str = Field("", description="Of the machine, from DMI")
    product: str = Field("", description="Of the machine, from DMI, such as DGXH100")
    kernel: str = Field("", description="Release of the running kernel")
    kernels: tuple[str, ...] = Field((), description="Releases of all installed kernels")
    options: Mapping[str, str] = Field(
        default_factory=dict,
        description="CONFIG_* of the running kernel that matter: y, m or n; empty: unknown",
    )
    headers: bool = Field(False, description="The headers of the running kernel are installed")
    container: str = Field("", description="What the host runs in, such as podman; empty for a machine")
    secure_boot: bool | None = Field(None, description="None where there is no EFI")
    signing_key: str = Field(
        "", description="Of DKMS: made, or enrolled where the firmware trusts it; empty where there is none"
    )
    lockdown: str = Field(
        "", description="none, integrity or confidentiality; empty where the kernel has none"
    )
    boot_id: str = Field("", description="Another one after each boot")
    reboot_required: bool = Field(False, description="The distribution asks for a reboot")
    systemd: bool = Field(False, description="systemd is PID 1")
    cgroup: int = Field(0, description="1 or 2")
    cpus: int = 0
    memory_mib: int = 0
    command_line: str = Field("", description="/proc/cmdline")


class PciDevice(Part):
    """One PCI device. Ids are ``vendor:device`` in lower-case hexadecimal without 0x."""

    address: str
    id: str
    subsystem: str = ""
    device_class: str = ""
    driver: str = ""
    model: str = Field("", description="Of a GPU, as its loaded driver says it")
    numa_node: int = -1
    link_speed_gts: float | None = Field(None, description="Now; an idle GPU slows its link down")
    link_width: int | None = None


class KernelModule(Part):
    """A module that is installed for a kernel."""

    name: str
    version: str = ""
    kernel: str = ""
    path: str = ""
    flavour: str = Field("", description="open or proprietary, for the NVIDIA modules")


class DkmsModule(Part):
    """A module in DKMS, for one kernel."""

    name: str
    version: str
    kernel: str = Field("", description="Empty where it is only added, or failed for an unknown one")
    state: str = Field("", description="added, built, installed or failed")


BASE_MODULES = ("nvidia", "nvidia_current", "nvidia_current_open")
"""What the module that the others need is called: by NVIDIA, and by Debian, which keeps several."""


class Driver(Part):
    """The NVIDIA driver: what is loaded, what lies on disk."""

    loaded: str = Field("", description="Version of the loaded module (/proc/driver/nvidia/version)")
    flavour: str = Field("", description="open or proprietary, of the loaded module")
    parameters: Mapping[str, str] = Field(
        default_factory=dict, description="Of the loaded module, without NVreg_"
    )
    installed: tuple[KernelModule, ...] = Field((), description="nvidia modules for the running kernel")
    elsewhere: tuple[KernelModule, ...] = Field((), description="nvidia modules for other installed kernels")
    user_space: str = Field("", description="Version of libcuda and libnvidia-ml on disk")
    nouveau: bool = Field(False, description="nouveau is loaded")
    users: tuple[int, ...] = Field((), description="Processes that have /dev/nvidia* open")
    user_names: Mapping[str, str] = Field(default_factory=dict, description="Their programs by PID")

    @property
    def base_modules(self) -> tuple[KernelModule, ...]:
        """The installed modules that are the driver itself, which the others need."""
        return tuple(module for module in self.installed if module.name in BASE_MODULES)


class Gid(Part):
    """One entry of a port's GID table that is in use."""

    index: int
    gid: str
    type: str = Field("", description="IB/RoCE v1 or RoCE v2")
    netdev: str = ""


class IbPort(Part):
    """One port of one RDMA device."""

    device: str = Field(description="Such as mlx5_0")
    port: int = 1
    link_layer: str = Field("", description="InfiniBand or Ethernet")
    state: str = Field("", description="ACTIVE, DOWN …")
    physical_state: str = ""
    rate_gbps: float = 0
    model: str = Field("", description="Such as MT4129")
    firmware: str = ""
    pci: str = ""
    netdev: str = ""
    numa_node: int = -1
    gids: tuple[Gid, ...] = ()
    nvlink_manager: bool = Field(False, description="SW_MNG in its VPD: NVLink 5 switches are managed by it")


class Mount(Part):
    """A mounted file system; ``answers`` is None where it was not asked."""

    source: str
    target: str
    type: str
    options: tuple[str, ...] = ()
    answers: bool | None = None


class Folder(Part):
    """A folder that somebody asked about, and that is there."""

    free_mib: int = 0


class DeviceNode(Part):
    """A device node, or what a CDI specification says of one."""

    path: str
    major: int = 0
    minor: int = 0


class CdiSpec(Part):
    """One CDI specification; ``stale`` names its nodes whose numbers or files are not those of the host."""

    path: str
    kind: str = ""
    version: str = ""
    driver: str = Field("", description="Driver version that its file names carry")
    devices: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()


class Package(Part):
    """An installed package."""

    version: str = Field(description="As the package manager says it, epoch included")
    held: bool = False


class Interface(Part):
    """A network interface: of hardware, or with an address."""

    name: str
    pci: str = ""
    mtu: int = 0
    state: str = ""
    speed_mbps: int | None = None
    driver: str = ""
    addresses: tuple[str, ...] = ()


class Tuning(Part):
    """Limits and kernel settings."""

    sysctls: Mapping[str, str] = Field(default_factory=dict)
    memlock: str = Field("", description="DefaultLimitMEMLOCK of services; empty: systemd's own, 8 MiB")
    nofile: str = Field("", description="DefaultLimitNOFILE of services; empty: systemd's own")
    limits: Mapping[str, str] = Field(
        default_factory=dict, description="Of login sessions of everybody, such as `hard memlock`"
    )
    remove_ipc: bool | None = Field(None, description="RemoveIPC of logind; None: its default, yes")
    hugepages: Mapping[str, int] = Field(default_factory=dict, description="Size in KiB to number")
    transparent_hugepages: str = ""
    governor: str = ""
    iommu: str = Field("", description="off, passthrough or translated; empty where it cannot be told")
    acs: tuple[str, ...] = Field((), description="PCI bridges that have ACS redirection on")
    numa_balancing: bool | None = None


class Host(Part):
    """Everything that the probe found. Source: the module ``host_probe``."""

    system: System = System()
    gpus: tuple[PciDevice, ...] = ()
    nvswitches: tuple[PciDevice, ...] = ()
    nics: tuple[PciDevice, ...] = ()
    driver: Driver = Driver()
    modules: tuple[str, ...] = Field((), description="Names of all loaded modules")
    available_modules: tuple[str, ...] = Field(
        (), description="Those that matter here and that the running kernel has, loaded or not"
    )
    builtin_modules: tuple[str, ...] = Field(
        (), description="Those of them that are part of the kernel: never among the loaded ones"
    )
    dkms: tuple[DkmsModule, ...] = ()
    devices: tuple[DeviceNode, ...] = ()
    infiniband: tuple[IbPort, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    mounts: tuple[Mount, ...] = ()
    folders: Mapping[str, Folder] | None = Field(
        None, description="Those that the probe was asked for and found; None where it was not asked"
    )
    cdi: tuple[CdiSpec, ...] = ()
    tuning: Tuning = Tuning()
    firewall: Mapping[str, str] = Field(
        default_factory=dict, description="Of each cluster with rules here, what they were made from"
    )
    nccl: Mapping[str, str] = Field(default_factory=dict, description="Variables in /etc/nccl.conf")
    package_manager: str = Field("", description="apt or dnf")
    packages: Mapping[str, Package] = Field(default_factory=dict, description="Those that matter here")
    problems: tuple[str, ...] = Field((), description="What could not be read, and mounts that do not answer")

    @classmethod
    def from_probe(cls, result: Mapping[str, Any]) -> Host:
        """Read the key ``host`` of a result of ``host_probe``. Raises pydantic.ValidationError."""
        return cls.model_validate(result)
