"""Write a first description: complete, commented, and valid as it stands."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from nimctl.contracts import builtin, infer
from nimctl.description import nodeset
from nimctl.description.document import Engine
from nimctl.description.source import plain_value

PLUGIN = "nimctl.multinode.cluster"

# Images to begin with. What nimctl knows about the contracts of NIM images is in its contract files.
_LATEST_NIM = "nim2-ray"
_NIM_IMAGES = {"deepseek-ai/deepseek-r1": "nvcr.io/nim/deepseek-ai/deepseek-r1:1.7.3"}
_IMAGES = {"vllm": "docker.io/vllm/vllm-openai:latest", "sglang": "docker.io/lmsysorg/sglang:latest"}


@dataclass(frozen=True, slots=True)
class FirstDescription:
    """What `nimctl init` was told; empty texts were left open."""

    cluster: str
    hosts: str
    engine: Engine
    model: str
    deployment: str
    image: str = ""
    addresses: str = ""
    user: str = ""
    key: str = ""
    gpu: str = ""
    gpus_per_node: int = 0
    fabric: str = ""
    rate: str = ""
    interface: str = ""
    fabric_addresses: str = ""
    replicas: int = 1
    tensor: int = 0
    pipeline: int = 0
    port: int = 8000
    weights: str = ""

    @property
    def known_image(self) -> str:
        """The image that was given, or the one to begin with; empty where none is known."""
        if self.image:
            return self.image
        if self.engine == "nim":
            return _NIM_IMAGES.get(self.model.lower(), f"nvcr.io/nim/{self.model.lower()}:latest")
        return _IMAGES.get(self.engine, "")

    @property
    def guessed_contract(self) -> str:
        """A contract to begin with where the tag of the image says nothing about it; else empty."""
        if self.engine != "nim" or not self.known_image:
            return ""
        tag = self.known_image.rpartition("/")[2].partition("@")[0].partition(":")[2]
        nodes = max(len(nodeset.expand(self.hosts)) // self.replicas, 1)
        return "" if infer(self.engine, tag, nodes, builtin()) else _LATEST_NIM


def deployment_name(model: str) -> str:
    """A name for a deployment of this model: its last part, as far as units and groups can carry it."""
    last = model.rstrip("/").rsplit("/", 1)[-1].lower()
    name = re.sub(r"[^a-z0-9]+", "-", last).strip("-")[:40].strip("-")
    return name if name[:1].isalpha() else f"model-{name}"[:40].strip("-")


def cluster_name(folder: str) -> str:
    """A name for a cluster whose description lies in a folder of this name."""
    name = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-")[:40].strip("-")
    return name if name[:1].isalpha() else "cluster"


def write(first: FirstDescription) -> str:
    """The text of the description. Raises NodeSetError where the hosts cannot be expanded."""
    hosts = nodeset.expand(first.hosts)
    parts = [_head(first), _nodes(first, len(hosts)), _storage(), _deployment(first, hosts), _secrets(first)]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts)


def scalar(text: str) -> str:
    """A text as YAML: plain where it stays the same text, else in quotes."""
    plain = re.fullmatch(r"[A-Za-z0-9/][A-Za-z0-9._/@-]*(:[A-Za-z0-9._/@-]+)*", text)
    return text if plain and plain_value(text) == text else json.dumps(text, ensure_ascii=False)


def _head(first: FirstDescription) -> str:
    connection = ", ".join(
        f"{name}: {scalar(value)}" for name, value in (("user", first.user), ("key", first.key)) if value
    )
    lines = [
        "# Describes a whole cluster: machines, storage and the models that are served.",
        "# Check it with `nimctl validate -i` and this folder; every field: docs/reference/cluster.yml.md",
        f"plugin: {PLUGIN}",
        f"name: {first.cluster}",
        "",
        "# How the machines are reached: user, port, key, known_hosts, become, proxy.",
        f"connection: {{{connection}}}" if connection else "# connection: {user: ubuntu}",
        "",
        "# Layers of the host stack: managed (default), verify (only checked) or ignore (left alone).",
        "stack:",
        *_engine(first),
    ]
    if first.gpus_per_node:
        lines += [
            "  driver: {mode: verify}              # it is there already, with NVIDIA's container toolkit",
            "  container_toolkit: {mode: verify}",
        ]
    if first.fabric in ("infiniband", "roce"):
        lines.append("  rdma: {mode: verify}")
    return "\n".join(lines) + "\n"


def _engine(first: FirstDescription) -> list[str]:
    """The container engine; of docker only docker's own packages know GPUs by CDI on every distribution."""
    source = ", source: docker" if first.gpus_per_node else ""
    lines = [f"  container_engine: {{engine: docker{source}}}  # or podman; registries, proxy, log limits"]
    if source:
        lines.insert(
            0, "  # From docker's own repository, because the docker of Debian 12 is too old for GPUs."
        )
    return lines


def _nodes(first: FirstDescription, count: int) -> str:
    many = "1 machine" if count == 1 else f"{count} machines"
    lines = [
        f"# Machines that are alike share an entry ({many} here). Addresses are in the order of hosts.",
        "nodes:",
        f"  - hosts: {scalar(first.hosts)}",
    ]
    if first.addresses:
        lines.append(f"    addresses: {scalar(first.addresses)}")
    if first.gpus_per_node:
        lines.append(f"    gpu: {{model: {scalar(first.gpu)}, count: {first.gpus_per_node}}}")
    else:
        lines.append("    gpu: {count: 0}")
    lines.append(_fabric(first))
    return "\n".join(lines) + "\n"


def _fabric(first: FirstDescription) -> str:
    if not first.fabric:
        return (
            "    # The network between the machines, when there is a faster one than the addresses above:\n"
            '    # fabric: {kind: infiniband, rate: ndr, ports: 8, interface: ib0, addresses: "10.1.0.[1-2]"}'
        )
    given = [
        ("kind", first.fabric),
        ("rate", first.rate),
        ("interface", first.interface),
        ("addresses", first.fabric_addresses),
    ]
    fields = ", ".join(f"{name}: {scalar(value)}" for name, value in given if value)
    note = "    # ports and hcas (such as [mlx5_0, mlx5_1]) say which adapters carry this traffic."
    return f"{note}\n    fabric: {{{fields}}}"


def _storage() -> str:
    return (
        "# Where model weights lie, when several machines share them:\n"
        "# storage:\n"
        "#   - {kind: nfs, server: store01.example.com, export: /srv/models, mount: /models}\n"
    )


def _deployment(first: FirstDescription, hosts: list[str]) -> str:
    lines = [
        "# One entry for each model that is served.",
        "deployments:",
        f"  - name: {first.deployment}",
        f"    model: {scalar(first.model)}",
        f"    engine: {first.engine}",
        *_image(first),
        f"    hosts: {scalar(first.hosts)}",
    ]
    if first.replicas > 1:
        lines.append(f"    replicas: {first.replicas}")
    lines += _parallel(first, len(hosts))
    lines.append(f"    port: {first.port}")
    if first.weights:
        lines.append(f"    weights: {{path: {scalar(first.weights)}}}  # where every machine sees them")
    else:
        lines.append(
            "    # weights: {path: /models/NAME}   # a folder that every machine sees, instead of a download"
        )
    lines.append("    # args: []   env: {}   timeouts: {start: 45m}")
    return "\n".join(lines) + "\n"


def _image(first: FirstDescription) -> list[str]:
    lines = []
    if not first.image:
        lines.append(
            "    # To begin with; name the release that you want. The lock file pins what it is today."
        )
    lines.append(f"    image: {scalar(first.known_image)}")
    if first.guessed_contract:
        lines += [
            "    # How its ranks find each other: a guess, because the tag does not say it. Ask the image:",
            f"    # nimctl contracts verify {first.known_image}",
            f"    contract: {first.guessed_contract}",
        ]
    return lines


def _parallel(first: FirstDescription, hosts: int) -> list[str]:
    """How a replica is split: as told, else tensor within a machine and pipeline across machines."""
    tensor = first.tensor or first.gpus_per_node or 1
    nodes = max(hosts // first.replicas, 1)
    pipeline = first.pipeline or max(nodes * max(first.gpus_per_node, 1) // tensor, 1)
    return [
        f"    parallel: {{tensor: {tensor}, pipeline: {pipeline}}}"
        "   # tensor: GPUs that share each layer; pipeline: stages",
    ]


def _secrets(first: FirstDescription) -> str:
    if first.engine == "nim":
        return (
            "# Where secrets are read when they are needed: env, file or vault. Never a secret itself.\n"
            "secrets:\n"
            "  ngc_api_key: {env: NGC_API_KEY}\n"
        )
    return (
        "# Where secrets are read when they are needed: env, file or vault. Never a secret itself.\n"
        "# secrets:\n"
        "#   hf_token: {env: HF_TOKEN}\n"
    )
