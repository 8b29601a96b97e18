"""Descriptions to render, and placements of them as each target reads them."""

from __future__ import annotations

from pathlib import Path

from nimctl.description import load
from nimctl.lock import Lock
from nimctl.placement import Placement
from nimctl.render import compose, docker, kubernetes, slurm
from nimctl.render.kubernetes.site import spelling
from nimctl.resolve import resolve

INVENTORIES = Path(__file__).parents[2] / "inventories"
WORKED = ("mixed", "prod", "prod-lustre-405b", "single-node-fp8")
DIGEST = "sha256:" + "0123456789abcdef" * 4
CRDS = Path(__file__).parents[3] / "shared" / "data" / "crds"

INFINIBAND = """\
  - hosts: "gpu[01-05]"
    addresses: "10.0.0.[11-15]"
    gpu: {model: h100-sxm, count: 8}
    fabric: {kind: infiniband, rate: ndr, interface: ib0, addresses: "10.1.0.[11-15]", hcas: [mlx5_0, mlx5_3]}
"""
ROCE = """\
  - hosts: "gpu[01-05]"
    addresses: "10.0.0.[11-15]"
    gpu: {model: h200-sxm, count: 8}
    fabric: {kind: roce, rate: 400g, interface: rdma0, addresses: "10.1.0.[11-15]", hcas: [mlx5_0, mlx5_1]}
"""
PLAIN = """\
  - hosts: "gpu[01-05]"
    addresses: "10.0.0.[11-15]"
    gpu: {count: 0}
    fabric: {kind: ethernet, rate: 10g, interface: eth7}
"""
NIM = "engine: nim, profile: sglang-h100-bf16-tp8-pp5, image: 'nvcr.io/nim/deepseek-ai/deepseek-r1"

CASES = {
    "nim1-env": (INFINIBAND, f"{NIM}:1.7.3', weights: {{source: ngc, path: /models/r1}}"),
    "nim2-ray": (INFINIBAND, f"{NIM}:2.0.1', args: [--max-model-len, '32768', 'a $(b) $c']"),
    "nim-variant": (ROCE, f"{NIM}:1.11.0-variant', parallel: {{tensor: 8}}"),
    "vllm": (
        INFINIBAND,
        "engine: vllm, image: 'vllm/vllm-openai:v0.25.0', env: {ODD: '$(HOME) $$ \"x\" %h'}, "
        "args: [--max-model-len, '8192', --chat-template, '{ $x }']",
    ),
    "sglang": (ROCE, "engine: sglang, image: 'lmsysorg/sglang:v0.5.2', weights: {path: /models/r1}"),
    "rehearsal": (PLAIN, "engine: rehearsal, image: 'registry.lab:5000/rehearsal:1'"),
}


def description(contract: str, more: str = "", nodes: int = 5) -> str:
    """A replica on so many nodes that speaks this contract."""
    machines, deployment = CASES[contract]
    return (
        "plugin: nimctl.multinode.cluster\nname: five\nnodes:\n"
        + machines
        + "storage:\n  - {kind: nfs, server: 10.0.0.9, export: /srv/models, mount: /models}\n"
        + "deployments:\n"
        + f"  - {{name: r1, model: deepseek-ai/deepseek-r1, contract: {contract}, "
        + f"hosts: 'gpu[01-0{nodes}]', {deployment}}}\n"
        + "secrets:\n  ngc_api_key: {env: NGC_API_KEY}\n  hf_token: {env: HF_TOKEN}\n"
        + more
    )


def place(folder: Path, text: str, target: str = "docker") -> Placement:
    """Place a description, with digests in its lock, as a target reads it."""
    (folder / "cluster.yml").write_text(text, encoding="utf-8")
    return as_read(folder, target)


def as_read(folder: Path, target: str) -> Placement:
    """The placement of a description, its images locked to a digest, written as a target writes ranks."""
    cluster = load(folder)
    lock = Lock(images={deployment.image: DIGEST for deployment in cluster.deployments})
    if target == "slurm":
        return resolve(cluster, lock, spelling=slurm.spelling)
    if target in ("k8s", "nimservice"):
        assert cluster.kubernetes is not None
        return resolve(cluster, lock, spelling=spelling(cluster.kubernetes))
    return resolve(cluster, lock)


def render(placement: Placement, target: str) -> dict[str, str]:
    """The files of a target, by path; ``nimservice`` is the other flavour of ``k8s``."""
    if target == "slurm":
        return slurm.render(placement)
    if target in ("k8s", "nimservice"):
        return kubernetes.render(placement, "lws" if target == "k8s" else "nimservice")
    return (docker if target == "docker" else compose).render(placement)
