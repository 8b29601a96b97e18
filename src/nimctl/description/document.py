"""The shape of ``cluster.yml``, field by field, as pydantic models.

What one field may hold is decided here; what fields mean together is decided in ``checks``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from nimctl.description.fields import (
    AbsolutePath,
    AddressSet,
    Duration,
    ExportName,
    FilePath,
    Fingerprint,
    HcaName,
    HostPort,
    ImageReference,
    InterfaceName,
    JumpHost,
    LabelKey,
    LogSize,
    ModelName,
    MountOption,
    Name,
    Network,
    NodeSet,
    PortRange,
    Quantity,
    ServerName,
    Silence,
    SlurmOption,
    SlurmTime,
    Url,
    UserName,
    VariableName,
    Version,
    Word,
)

Mode = Literal["managed", "verify", "ignore"]
Engine = Literal["nim", "vllm", "sglang", "rehearsal"]
Precision = Literal["bf16", "fp16", "fp8", "fp4", "nvfp4", "mxfp4", "int8", "int4"]
MirrorName = Literal["nvidia", "container_toolkit", "doca", "lustre"]
PortNumber = Annotated[int, Field(ge=1, le=65535)]


class Strict(BaseModel):
    """A model that refuses unknown keys and silent conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Connection(Strict):
    """How Ansible reaches the nodes."""

    user: UserName | None = Field(None, description="Login on the nodes; default: as Ansible decides")
    port: PortNumber | None = Field(None, description="SSH port")
    key: FilePath | None = Field(None, description="Private key, relative to the folder of the description")
    known_hosts: FilePath | None = Field(
        None, description="known_hosts file, relative to the folder of the description"
    )
    become: bool = Field(True, description="Use sudo; false where the login is root")
    proxy: JumpHost | None = Field(None, description="Jump host, as ssh -J takes it")


class Layer(Strict):
    """One layer of the host stack: changed, only checked, or left alone."""

    mode: Mode = Field(
        "managed", description="managed: changed to match; verify: only checked; ignore: left alone"
    )


class Registry(Strict):
    """A registry that nodes pull from."""

    host: HostPort = Field(description="host or host:port, as it stands in image references")
    mirrors: list[HostPort] = Field(default_factory=list, description="host:port of mirrors, tried in order")
    ca: FilePath | None = Field(
        None, description="PEM file with its certificate authority, relative to the description"
    )
    insecure: bool = Field(False, description="Plain HTTP, or HTTPS that is not verified")
    username: str = Field("$oauthtoken", description="Login; the default is what NGC expects")
    password: str | None = Field(None, description="Name of an entry under secrets")


class Proxy(Strict):
    """HTTP proxy of the container engine."""

    http: Url | None = Field(None, description="Proxy for http:// addresses")
    https: Url | None = Field(None, description="Proxy for https:// addresses")
    no_proxy: list[str] = Field(
        default_factory=list, description="Hosts and networks that are reached directly"
    )


class ContainerEngine(Layer):
    """The container engine on every node that runs ranks."""

    engine: Literal["docker", "podman"] = Field("docker", description="What runs the containers")
    source: Literal["distribution", "docker"] = Field(
        "distribution", description="Whose packages: docker is docker's own repository"
    )
    registries: list[Registry] = Field(
        default_factory=list, description="Registries that need more than a name"
    )
    proxy: Proxy | None = Field(None, description="HTTP proxy for pulling")
    daemon: dict[str, object] = Field(
        default_factory=dict, description="Merged into daemon.json (docker only)"
    )
    log_max_size: LogSize = Field("100m", description="Size at which a container's log rotates")
    log_max_files: int = Field(5, ge=1, le=1000, description="Rotated logs that are kept for each container")


class Driver(Layer):
    """The NVIDIA driver."""

    branch: int | None = Field(None, ge=470, le=9999, description="Driver branch such as 580")
    version: Version | None = Field(None, description="Exact version such as 580.126.09")
    modules: Literal["auto", "open", "proprietary"] = Field(
        "auto", description="Kind of kernel modules; auto: by GPU generation and branch"
    )
    source: Literal["nvidia", "distribution"] = Field(
        "nvidia", description="Whose packages: NVIDIA's repository (or its mirror), or the distribution's own"
    )
    build: Literal["dkms", "precompiled"] = Field(
        "dkms", description="dkms: built on the node for its kernel; precompiled: as packages"
    )
    packages: Literal["compute", "full"] = Field(
        "compute", description="compute: without what only displays need"
    )
    persistence: bool = Field(True, description="Run nvidia-persistenced")
    secure_boot: Literal["refuse", "enroll"] = Field(
        "refuse",
        description="With Secure Boot: refuse modules that it would not load, or prepare to enroll a key",
    )


class FabricManager(Layer):
    """NVIDIA Fabric Manager, the NVLink subnet manager and IMEX: what joins GPUs by NVSwitch."""

    install: Literal["auto", "always"] = Field(
        "auto", description="auto: where there are NVSwitches; always: refused where there are none"
    )
    imex: Literal["auto", "always", "never"] = Field(
        "auto", description="IMEX, for NVLink domains of several nodes; auto: where the GPUs need it"
    )


class ContainerToolkit(Layer):
    """The NVIDIA container toolkit, by which containers get GPUs."""

    version: Version | None = Field(None, description="Exact version such as 1.19.1")


class Rdma(Layer):
    """RDMA: verbs, drivers and limits."""

    source: Literal["inbox", "doca"] = Field(
        "inbox", description="inbox: rdma-core of the distribution; doca: NVIDIA DOCA-OFED"
    )
    version: Version | None = Field(None, description="Version of DOCA such as 3.2.3")
    soft: InterfaceName | None = Field(
        None, description="Soft RoCE on this interface, for tests without RDMA hardware"
    )


class GpuDirect(Layer):
    """GPUDirect RDMA and GPUDirect Storage."""

    method: Literal["auto", "dma-buf", "peermem"] = Field(
        "auto", description="auto: DMA-BUF where kernel and modules can, else nvidia-peermem"
    )
    storage: bool = Field(False, description="GPUDirect Storage: nvidia-fs and cufile.json")
    cufile: dict[str, object] = Field(
        default_factory=dict, description="Merged into /etc/cufile.json (with storage)"
    )


class Nccl(Layer):
    """NCCL on the node itself; containers bring their own."""

    library: bool = Field(False, description="Install the library on the nodes")
    version: Version | None = Field(None, description="Exact version such as 2.30.7")
    tests: bool = Field(False, description="Install the all-reduce test")
    topology: FilePath | None = Field(
        None, description="Topology file for NCCL, relative to the description; for machines that hide theirs"
    )


class Tuning(Layer):
    """Limits and kernel settings of the nodes."""

    sysctls: dict[str, int] = Field(
        default_factory=dict, description="Floors: raised only where the value is lower"
    )
    hugepages: int = Field(0, ge=0, le=1_000_000, description="2 MiB pages that are reserved")
    governor: Literal["performance", "keep"] = Field("performance", description="CPU frequency governor")
    acs: Literal["report", "disable"] = Field(
        "report", description="PCIe access control services, which send GPU to NIC traffic by the root"
    )
    iommu: Literal["report", "passthrough"] = Field(
        "report", description="passthrough: iommu=pt on the kernel command line, from the next boot"
    )


class Firewall(Layer):
    """The firewall of the ranks: Ray and the engines' rendezvous have no authentication."""

    api_allow: list[Network] = Field(
        default_factory=list,
        description="Networks that may use the API, besides the cluster; empty: everybody may",
    )
    ephemeral: PortRange = Field(
        "32768-60999", description="Ports that engines take at random, closed to all but the cluster"
    )
    trusted: list[Network] = Field(
        default_factory=list, description="Networks that count as the cluster, such as further rails"
    )
    open: list[PortRange] = Field(
        default_factory=list,
        description="Ports within the closed ones that stay open, for services of others",
    )
    confirm: Duration = Field(
        "60s", description="How long new rules may wait for a fresh connection before the old ones come back"
    )


class Mirror(Strict):
    """Where packages of one publisher come from instead."""

    url: Url = Field(description="Takes the place of the publisher's base address")
    key: Fingerprint | None = Field(
        None, description="Fingerprint of the key that signs it; default: the publisher's"
    )


class Stack(Strict):
    """Every layer of the host stack."""

    container_engine: ContainerEngine = Field(default_factory=ContainerEngine)
    driver: Driver = Field(default_factory=Driver)
    fabric_manager: FabricManager = Field(default_factory=FabricManager)
    container_toolkit: ContainerToolkit = Field(default_factory=ContainerToolkit)
    rdma: Rdma = Field(default_factory=Rdma)
    gpu_direct: GpuDirect = Field(default_factory=GpuDirect)
    nccl: Nccl = Field(default_factory=Nccl)
    tuning: Tuning = Field(default_factory=Tuning)
    firewall: Firewall = Field(default_factory=Firewall)
    mirrors: dict[MirrorName, Mirror] = Field(
        default_factory=dict, description="By publisher: nvidia, container_toolkit, doca or lustre"
    )
    reboot_ok: bool = Field(
        False, description="Whether a run may reboot nodes; without it, what needs a reboot is listed"
    )


class Gpu(Strict):
    """The GPUs of each node of an entry."""

    model: str | None = Field(None, description="A row of the GPU table; needed unless count is 0")
    count: int = Field(ge=0, le=72, description="GPUs in each node; 0 for a node without")


class Fabric(Strict):
    """The network between nodes."""

    kind: Literal["infiniband", "roce", "ethernet"] = Field(description="ethernet: no RDMA")
    rate: str = Field(
        description="Speed of one port: hdr, ndr or xdr (infiniband), 1g to 800g (roce, ethernet)"
    )
    ports: int | None = Field(
        None, ge=1, le=64, description="Ports of each node; default: as many as hcas, or 1"
    )
    interface: InterfaceName | None = Field(None, description="Network interface such as ib0")
    addresses: AddressSet | None = Field(
        None, description="Addresses on the fabric, in the order of hosts; ranks then meet there"
    )
    hcas: list[HcaName] = Field(
        default_factory=list, description="HCAs that carry this traffic; default: those that are discovered"
    )


class NodeEntry(Strict):
    """One entry of ``nodes``: machines that are alike."""

    hosts: NodeSet = Field(description="Names, as a node set such as gpu[01-16]")
    addresses: AddressSet | None = Field(
        None, description="Where the machines are reached, in the order of hosts; default: the names"
    )
    gpu: Gpu
    fabric: Fabric | None = Field(None, description="The network between nodes; default: the addresses above")
    state: Literal["present", "absent"] = Field(
        "present", description="absent: its ranks are removed, before it leaves the file"
    )
    absent: NodeSet | None = Field(
        None, description="Those of the hosts that are absent, where the others stay"
    )


class Storage(Strict):
    """One model storage."""

    kind: Literal["nfs", "lustre", "existing", "local"] = Field(
        description="existing: mounted by somebody else; local: a folder of each node"
    )
    server: ServerName | None = Field(None, description="nfs: a node or an address; lustre: NIDs of the MGS")
    export: ExportName | None = Field(None, description="nfs: exported path; lustre: /FSNAME")
    mount: AbsolutePath = Field(description="Where it is seen on the nodes")
    options: list[MountOption] = Field(
        default_factory=list,
        description="nfs, lustre: mount options, added to the defaults; existing: those it has to have",
    )
    mode: Mode = Field(
        "managed", description="managed: changed to match; verify: only checked; ignore: left alone"
    )
    nconnect: int | None = Field(
        None, ge=1, le=16, description="nfs: TCP connections to the server; default: 8"
    )
    rdma: bool = Field(False, description="nfs: by RDMA (port 20049) instead of TCP")
    read_ahead_kib: int = Field(15380, ge=128, le=1_048_576, description="nfs: read-ahead, in KiB")
    automount: bool = Field(True, description="nfs, lustre: mounted at the first use")
    packages: Literal["packages", "dkms"] = Field(
        "packages", description="lustre: client modules as packages of one kernel, or built by DKMS"
    )
    stripe_count: int = Field(-1, ge=-1, le=2000, description="lustre: OSTs of each file; -1: all")


class Weights(Strict):
    """Where a model's weights come from and where the ranks find them."""

    source: Literal["ngc", "huggingface", "folder", "tar", "s3"] | None = Field(
        None, description="Where they come from"
    )
    repository: Word | None = Field(None, description="Name there; default: the deployment's model")
    revision: Word | None = Field(None, description="Tag, branch or commit there")
    path: AbsolutePath | None = Field(None, description="Folder on the nodes that holds them")


class Parallel(Strict):
    """How one replica is split."""

    tensor: int | None = Field(None, ge=1, le=1024, description="GPUs that share each layer")
    pipeline: int | None = Field(None, ge=1, le=1024, description="Stages, each with some of the layers")
    across_nodes: bool = Field(False, description="Let tensor parallelism leave a node")


class Timeouts(Strict):
    """Deadlines, as numbers with a unit: 90s, 45m, 2h."""

    start: Duration | None = Field(None, description="Until a replica answers; default: from the contract")
    stop: Duration | None = Field(None, description="Until a rank is killed; default: 30s")
    silent: Silence | None = Field(
        None,
        description="How long a serving replica may make no progress before it is restarted, at least 90s; "
        "default: from the contract",
    )


class Deployment(Strict):
    """One served model."""

    name: Name = Field(description="Becomes part of unit, container and group names")
    model: ModelName = Field(description="The model, as its engine names it")
    engine: Engine = Field(description="What runs in the container")
    contract: str | None = Field(None, description="How the ranks find each other; default: inferred")
    profile: Word | None = Field(None, description="The engine's own name of a profile")
    image: ImageReference = Field(description="[host[:port]/]path[:tag][@sha256:digest]")
    weights: Weights | None = None
    served_name: ModelName | None = Field(None, description="Model name in requests; default: the model")
    hosts: NodeSet | None = Field(None, description="Node set; default: placed automatically")
    gpus: list[Annotated[int, Field(ge=0, le=71)]] | None = Field(
        None, min_length=1, description="Which GPUs of each host; default: placed automatically"
    )
    replicas: int = Field(1, ge=1, le=100_000, description="Complete copies of the model")
    parallel: Parallel = Field(default_factory=Parallel)
    precision: Precision | None = Field(
        None, description="Number format of the weights; default: the image decides"
    )
    port: PortNumber = Field(8000, description="Port of the API on the leader")
    args: list[str] = Field(default_factory=list, description="Engine arguments, appended")
    env: dict[str, str] = Field(default_factory=dict, description="Environment variables, added")
    timeouts: Timeouts = Field(default_factory=Timeouts)
    supervise: bool = Field(
        True, description="Restart a replica as a whole when a rank is lost; false: only the rank that ended"
    )


class KubernetesRdma(Strict):
    """How pods reach the HCAs of their node."""

    mode: Literal["shared-device", "sriov", "host-network", "none"] | None = Field(
        None,
        description="shared-device: the RDMA shared device plugin; sriov: a virtual function of its own; "
        "host-network: the node's own network, and the shared device; none: over TCP. "
        "Default: shared-device on infiniband, host-network on roce, none on ethernet",
    )
    resource: LabelKey | None = Field(
        None,
        description="Asked for by each pod; default: rdma/rdma_shared_device_a, or nvidia.com/mlnxnics",
    )
    count: int = Field(1, ge=1, le=64, description="How many of it each pod asks for")
    network: LabelKey | None = Field(
        None, description="Network attachment (Multus), as NAME or NAMESPACE/NAME, for a second interface"
    )


class KubernetesVolume(Strict):
    """Where pods find a storage."""

    claim: Name | None = Field(None, description="A claim that exists (ReadWriteMany or ReadOnlyMany)")
    driver: LabelKey | None = Field(None, description="CSI driver; default: by kind of storage")
    size: Quantity = Field("2Ti", description="Size that volume and claim state")


class KubernetesCache(Strict):
    """Where engines keep what they download or compile."""

    claim: Name | None = Field(None, description="A claim that exists, ReadWriteMany where it is shared")
    storage_class: LabelKey | None = Field(None, description="Class of the claim that is made")
    size: Quantity = Field(
        "1500Gi", description="Size of the claim: the weights, where the engine downloads them"
    )


class KubernetesRequests(Strict):
    """What a pod asks for besides GPUs; memory does not contain /dev/shm, which is added."""

    cpu_per_gpu: int = Field(8, ge=1, le=256, description="CPUs for each GPU")
    memory_gib_per_gpu: int = Field(32, ge=1, le=4096, description="Memory for each GPU, in GiB")
    ephemeral_gib: int = Field(60, ge=1, le=100_000, description="Disk of the node, in GiB")


class Kubernetes(Strict):
    """What `nimctl render k8s` has to know about the Kubernetes cluster."""

    namespace: Name | None = Field(None, description="Namespace; default: the name of the cluster")
    rdma: KubernetesRdma = Field(default_factory=KubernetesRdma)
    volumes: dict[AbsolutePath, KubernetesVolume] = Field(
        default_factory=dict, description="By mount point of a storage"
    )
    cache: KubernetesCache = Field(default_factory=KubernetesCache)
    requests: KubernetesRequests = Field(default_factory=KubernetesRequests)
    node_selector: dict[LabelKey, str] = Field(
        default_factory=dict, description="Labels of nodes; added to the product name of the GPU"
    )
    topology: LabelKey | None = Field(
        None,
        description="Label of a rack or leaf: a replica gets one to itself; default: ranks are kept together "
        "by zone where that is possible",
    )
    pull_secret: Name | None = Field(
        None,
        description="Secret with the registry's login; default: REGISTRY-pull where one is described",
    )
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        "ClusterIP", description="How clients reach the API"
    )


class Slurm(Strict):
    """What `nimctl render slurm` has to know about the Slurm cluster."""

    runtime: Literal["pyxis", "enroot"] = Field(
        "pyxis", description="pyxis: srun starts the container; enroot: the task does"
    )
    images: AbsolutePath | None = Field(
        None,
        description="Shared folder of squashfs images; default: pulled on each node, or ~/.cache with enroot",
    )
    partition: Word | None = Field(None, description="--partition")
    account: Word | None = Field(None, description="--account")
    qos: Word | None = Field(None, description="--qos")
    time: SlurmTime | None = Field(None, description="--time; default: the partition's")
    options: list[SlurmOption] = Field(
        default_factory=list, description="Further options of sbatch, such as --constraint=h100"
    )


class SecretSource(Strict):
    """Where a secret is read when it is needed; exactly one of the three."""

    env: VariableName | None = Field(None, description="Environment variable of the controller")
    file: FilePath | None = Field(None, description="File on the controller, relative to the description")
    vault: VariableName | None = Field(None, description="Ansible variable that holds the vaulted value")


class Document(Strict):
    """The whole of ``cluster.yml``."""

    plugin: Literal["nimctl.multinode.cluster"] = Field(description="Tells Ansible who reads this file")
    name: Name = Field(description="Name of the cluster")
    connection: Connection = Field(default_factory=Connection)
    stack: Stack = Field(default_factory=Stack)
    nodes: list[NodeEntry] = Field(min_length=1, description="Each entry describes machines that are alike")
    storage: list[Storage] = Field(default_factory=list, max_length=100, description="Where the weights lie")
    deployments: list[Deployment] = Field(
        default_factory=list, max_length=5000, description="The models that are served"
    )
    secrets: dict[str, SecretSource] = Field(
        default_factory=dict, description="Where secrets are read; never a secret itself"
    )
    kubernetes: Kubernetes = Field(default_factory=Kubernetes)
    slurm: Slurm = Field(default_factory=Slurm)
