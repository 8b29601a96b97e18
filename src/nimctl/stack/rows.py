"""The rows of the tables in ``nimctl/data/stack``: versions of the host stack and what fits what.

What each field means stands at the top of its file there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from nimctl.description.tables import Row

ModuleKind = Literal["open", "proprietary"]
Evidence = Literal["verified", "third-party", "inferred", "memory"]
Number = Annotated[str, Field(pattern=r"^[0-9][0-9A-Za-z.+~-]*$")]
DeviceId = Annotated[str, Field(pattern=r"^[0-9a-f]{4}$")]


def _tuples(value: object) -> object:
    """Lists of YAML as the tuples that a frozen row holds."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


Numbers = Annotated[tuple[Number, ...], BeforeValidator(_tuples)]
Kinds = Annotated[tuple[ModuleKind, ...], BeforeValidator(_tuples)]
Names = Annotated[tuple[str, ...], BeforeValidator(_tuples)]
Branches = Annotated[tuple[int, ...], BeforeValidator(_tuples)]
DeviceIds = Annotated[tuple[DeviceId, ...], BeforeValidator(_tuples)]
Ranges = Annotated[tuple[tuple[DeviceId, DeviceId], ...], BeforeValidator(_tuples)]


class Marked(Row):
    """A row that says how sure it is."""

    evidence: Evidence = Field(description="How sure the row is")


class Generation(Marked):
    """A generation of GPUs."""

    modules: Kinds = Field(min_length=1)
    open_from: int | None = None
    first_branch: int
    last_branch: int | None = None
    ids: Ranges = ()


class Device(Marked):
    """A PCI device that is a GPU."""

    name: str
    generation: str
    models: Names = ()
    nvlink: int = 0
    switched: bool = False
    imex: bool = False


class Branch(Marked):
    """A branch of the driver; ``number`` is its name."""

    number: int = 0
    type: Literal["lts", "production", "new-feature", "unknown"]
    end_of_life: Annotated[str, Field(pattern=r"^(past|20[0-9]{2}-[01][0-9])$")] | None = None
    version: Number | None = None
    versions: Numbers = ()
    modules: Kinds = Field(min_length=1)
    doubtful_modules: Kinds = ()
    suffixed: bool
    suffixed_fabric: bool


class DriverPackages(Marked):
    """Names of the driver's packages, for some branches on some distributions."""

    publisher: Literal["nvidia", "distribution"]
    distributions: Names = Field(min_length=1)
    first_branch: int = 0
    last_branch: int = 9999
    user_space: Names = Field(min_length=1)
    full: dict[ModuleKind, Names]
    dkms: dict[ModuleKind, Names]
    trial: dict[ModuleKind, Names]
    precompiled: dict[ModuleKind, Names] = Field(default_factory=dict)
    signed: bool = False
    headers: Names
    fabric: dict[Literal["manager", "nscq", "nvsdm", "imex", "nvlsm"], str] = Field(default_factory=dict)


class NvLink(Marked):
    """A generation of NVLink, where switches join the GPUs."""

    switches: DeviceIds = ()
    first_branch: int
    modules: Kinds = Field(min_length=1)
    kernel: Number | None = None
    kernel_modules: Names = ()
    packages: Names = ()


class Toolkit(Marked):
    """A version of the container toolkit; ``version`` is its name."""

    version: str = ""
    default: bool = False
    cdi: Number
    refresh: bool = False


class Cdi(Marked):
    """A version of the CDI specification, with the first version of each engine that reads it."""

    engines: dict[str, Number]


class Doca(Marked):
    """A version of DOCA-OFED; ``version`` is its name."""

    version: str = ""
    default: bool = False
    ofed: Number
    lts: bool = False
    distributions: dict[str, str]


class Nccl(Marked):
    """A version of NCCL; ``version`` is its name."""

    version: str = ""
    default: bool = False
    cuda: Number


class Distribution(Marked):
    """A release of a distribution; ``name`` is its name, such as ubuntu-24.04."""

    name: str = ""
    ids: Names = Field(min_length=1)
    version: Number
    manager: Literal["apt", "dnf"]
    architectures: dict[str, str]
    folder: str
    key: str | None = None
    fingerprint: Annotated[str, Field(pattern=r"^[0-9A-F]{40}$")] | None = None
    first_branch: int | None = None
    own_branches: Branches = ()
    driver_lock: Literal["pinning", "stream", "versionlock"]
    ansible_core: Number
    tried: str = ""


class Publisher(Marked):
    """Who publishes packages."""

    base: str
    apt: str
    dnf: str
    suite: str
    key: str
    arm: str = ""
    fingerprint: Annotated[str, Field(pattern=r"^[0-9A-F]{40}$")] | None = None


class Rule(Marked):
    """What has to fit across layers, with the reason."""

    says: str
    minimum: Number | None = None


class Setting(Marked):
    """A kernel setting or a limit; exactly one of ``floor``, ``value`` and ``limit`` is given."""

    floor: int | None = None
    value: str | None = None
    limit: Annotated[str, Field(pattern=r"^(\d+|infinity):(\d+|infinity)$")] | None = None
    unit: str
    namespaced: bool = False
    says: str

    @model_validator(mode="after")
    def _one_of_three(self) -> Setting:
        if sum(each is not None for each in (self.floor, self.value, self.limit)) != 1:
            raise ValueError("exactly one of floor, value and limit")
        return self


class RdmaPackages(Marked):
    """Packages of a package manager for RDMA from the distribution."""

    names: Names = Field(min_length=1)
    soft: Names = ()
