"""The shape of ``cluster.yml``, field by field, as pydantic models.

What one field may hold is decided here; what fields mean together is decided in ``checks``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
Mode = Literal["managed", "verify", "ignore"]
Engine = Literal["nim", "vllm", "sglang", "rehearsal"]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


class Strict(BaseModel):
    """A model that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Connection(Strict):
    """How Ansible reaches the nodes."""

    user: str | None = None
    port: PortNumber | None = None
    key: str | None = Field(None, description="Private key file, relative to the folder of the description")
    known_hosts: str | None = Field(None, description="known_hosts file, relative to the folder of the description")
    become: bool = True
    proxy: str | None = Field(None, description="Jump host, as ssh -J takes it")


class Layer(Strict):
    """One layer of the host stack: changed, only checked, or left alone."""

    mode: Mode = "managed"


class Registry(Strict):
    """A registry that nodes pull from."""

    host: str = Field(description="host or host:port, as it stands in image references")
    mirrors: list[str] = Field(default_factory=list, description="host:port of mirrors, tried in order")
    ca: str | None = Field(None, description="PEM file with its certificate authority, relative to the description")
    insecure: bool = Field(False, description="Plain HTTP, or HTTPS that is not verified")
    username: str = "$oauthtoken"
    password: str | None = Field(None, description="Name of an entry under secrets")


class Proxy(Strict):
    """HTTP proxy of the container engine."""

    http: str | None = None
    https: str | None = None
    no_proxy: list[str] = Field(default_factory=list)


class ContainerEngine(Layer):
    """The container engine on every node that runs ranks."""

    engine: Literal["docker", "podman"] = "docker"
    source: Literal["distribution", "docker"] = Field("distribution", description="Whose packages: docker is docker's own repository")
    registries: list[Registry] = Field(default_factory=list)
    proxy: Proxy | None = None
    daemon: dict[str, object] = Field(default_factory=dict, description="Merged into daemon.json (docker only)")
    log_max_size: str = Field("100m", description="Size at which a container's log rotates")
    log_max_files: int = Field(5, ge=1, le=1000)


class Driver(Layer):
    """The NVIDIA driver."""

    branch: int | None = Field(None, ge=470, le=9999)
    version: str | None = None


class Stack(Strict):
    """Every layer of the host stack."""

    container_engine: ContainerEngine = Field(default_factory=ContainerEngine)
    driver: Driver = Field(default_factory=Driver)
    container_toolkit: Layer = Field(default_factory=Layer)
    rdma: Layer = Field(default_factory=Layer)
    nccl: Layer = Field(default_factory=Layer)
    tuning: Layer = Field(default_factory=Layer)
    firewall: Layer = Field(default_factory=Layer)


class Gpu(Strict):
    """The GPUs of each node of an entry."""

    model: str | None = Field(None, description="A row of the GPU table")
    count: int = Field(ge=0, le=72)


class Fabric(Strict):
    """The network between nodes."""

    kind: Literal["infiniband", "roce", "ethernet"]
    rate: str
    ports: int = Field(1, ge=1, le=64)
    interface: str | None = None
    addresses: str | list[str] | None = None
    hcas: list[str] = Field(default_factory=list)


class NodeEntry(Strict):
    """One entry of ``nodes``: machines that are alike."""

    hosts: str
    addresses: str | list[str] | None = None
    gpu: Gpu
    fabric: Fabric | None = None
    state: Literal["present", "absent"] = "present"


class Storage(Strict):
    """One model storage."""

    kind: Literal["nfs", "lustre", "existing", "local"]
    server: str | None = None
    export: str | None = None
    mount: str
    options: list[str] = Field(default_factory=list)


class Weights(Strict):
    """Where a model's weights come from and where the ranks find them."""

    source: Literal["ngc", "huggingface", "folder", "tar", "s3"] | None = None
    repository: str | None = None
    revision: str | None = None
    path: str | None = None


class Parallel(Strict):
    """How one replica is split."""

    tensor: int | None = Field(None, ge=1, le=1024)
    pipeline: int | None = Field(None, ge=1, le=1024)
    across_nodes: bool = Field(False, description="Let tensor parallelism leave a node")


class Timeouts(Strict):
    """Deadlines, as numbers with a unit: 90s, 45m, 2h."""

    start: str | None = None
    stop: str | None = None


class Deployment(Strict):
    """One served model."""

    name: Name
    model: str
    engine: Engine
    contract: str | None = None
    profile: str | None = None
    image: str
    weights: Weights | None = None
    served_name: str | None = None
    hosts: str | None = None
    gpus: list[Annotated[int, Field(ge=0, le=71)]] | None = None
    replicas: int = Field(1, ge=1, le=100_000)
    parallel: Parallel = Field(default_factory=Parallel)
    precision: str | None = None
    port: PortNumber = 8000
    args: list[str] = Field(default_factory=list)
    env: dict[str, str] = Field(default_factory=dict)
    timeouts: Timeouts = Field(default_factory=Timeouts)


class SecretSource(Strict):
    """Where a secret is read when it is needed; exactly one of the three."""

    env: str | None = Field(None, description="Environment variable of the controller")
    file: str | None = Field(None, description="File on the controller, relative to the description")
    vault: str | None = Field(None, description="Ansible variable that holds the vaulted value")


class Document(Strict):
    """The whole of ``cluster.yml``."""

    plugin: Literal["nimctl.multinode.cluster"]
    name: Name
    connection: Connection = Field(default_factory=Connection)
    stack: Stack = Field(default_factory=Stack)
    nodes: list[NodeEntry] = Field(min_length=1)
    storage: list[Storage] = Field(default_factory=list)
    deployments: list[Deployment] = Field(default_factory=list)
    secrets: dict[str, SecretSource] = Field(default_factory=dict)
