"""What every contract makes of a 2-node and a 4-node replica, as files that the tests compare strictly.

After an intended change, write them again and read the difference before committing it:

    .venv/bin/python tests/unit/contracts/golden.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from nimctl.description import load
from nimctl.inventory import rank_variables
from nimctl.lock import Lock
from nimctl.resolve import resolve
from nimctl.yamltext import write

FOLDER = Path(__file__).parent / "golden"
SIZES = (2, 4)
DIGEST = "sha256:" + "0123456789abcdef" * 4

_INFINIBAND = """\
  - hosts: "gpu[01-04]"
    addresses: "10.0.0.[1-4]"
    gpu: {model: h100-sxm, count: 8}
    fabric: {kind: infiniband, rate: ndr, interface: ib0, addresses: "10.1.0.[1-4]", hcas: [mlx5_0, mlx5_3]}
"""
# The article has one address for a node, and no HCAs.
_ARTICLE = """\
  - hosts: "gpu[01-04]"
    addresses: "10.0.0.[1-4]"
    gpu: {model: h100-sxm, count: 8}
    fabric: {kind: infiniband, rate: ndr, interface: ib0}
"""
_ROCE_IPV6 = """\
  - hosts: "gpu[01-04]"
    addresses: "fd00::[1-4]"
    gpu: {model: h200-sxm, count: 8}
    fabric: {kind: roce, rate: 400g, interface: rdma0, addresses: "fd01::[1-4]", hcas: [mlx5_0, mlx5_1]}
"""
_PLAIN = """\
  - hosts: "gpu[01-04]"
    addresses: "10.0.0.[1-4]"
    gpu: {count: 0}
    fabric: {kind: ethernet, rate: 10g, interface: eth0}
"""

CASES = {
    "article": (
        _ARTICLE,
        "engine: nim, image: 'nvcr.io/nim/deepseek-ai/deepseek-r1:1.7.3', parallel: {tensor: 8}",
    ),
    "nim1-env": (
        _INFINIBAND,
        "engine: nim, image: 'nvcr.io/nim/deepseek-ai/deepseek-r1:1.7.3', profile: sglang-h100-bf16-tp8-pp2, "
        "weights: {source: ngc, path: /models/r1}",
    ),
    "nim1-mpi": (_INFINIBAND, "engine: nim, image: 'nvcr.io/nim/meta/llama-3.1-405b-instruct:1.3.0'"),
    "nim2-ray": (
        _INFINIBAND,
        "engine: nim, image: 'nvcr.io/nim/deepseek-ai/deepseek-r1:2.0.1', "
        "args: [--max-model-len, '32768', 'a b']",
    ),
    "nim-variant": (
        _INFINIBAND,
        "engine: nim, image: 'nvcr.io/nim/deepseek-ai/deepseek-v4-flash:1.11.0-variant', "
        "parallel: {tensor: 8}",
    ),
    "vllm": (
        _INFINIBAND,
        "engine: vllm, image: 'vllm/vllm-openai:v0.25.0', precision: fp8, args: [--max-model-len, '8192'], "
        "weights: {source: huggingface, revision: abc123}",
    ),
    "sglang": (_ROCE_IPV6, "engine: sglang, image: 'lmsysorg/sglang:v0.5.2', weights: {path: /models/r1}"),
    "rehearsal": (_PLAIN, "engine: rehearsal, image: 'registry.lab:5000/rehearsal:1'"),
}


def description(contract: str, nodes: int) -> str:
    """The description of a replica on so many nodes."""
    machines, deployment = CASES[contract]
    return (
        "plugin: nimctl.multinode.cluster\nname: golden\nnodes:\n"
        + machines
        + "deployments:\n"
        + f"  - {{name: r1, model: deepseek-ai/deepseek-r1, contract: {contract}, "
        + f"hosts: 'gpu[01-0{nodes}]', {deployment}}}\n"
        + "secrets:\n  ngc_api_key: {env: NGC_API_KEY}\n  hf_token: {env: HF_TOKEN}\n"
    )


def render(contract: str, nodes: int) -> str:
    """Every rank of the replica as YAML, without the hash over it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cluster.yml"
        file.write_text(description(contract, nodes), encoding="utf-8")
        cluster = load(file)
    placement = resolve(cluster, Lock(images={cluster.deployments[0].image: DIGEST}))
    ranks = []
    for rank in placement.ranks:
        variables = rank_variables(rank)
        del variables["spec"]
        ranks.append(variables)
    return f"# Written by tests/unit/contracts/golden.py\n{write({'ranks': ranks})}"


def main() -> None:
    """Write every file again."""
    FOLDER.mkdir(exist_ok=True)
    for contract in CASES:
        for nodes in SIZES:
            (FOLDER / f"{contract}-{nodes}.yml").write_text(render(contract, nodes), encoding="utf-8")


if __name__ == "__main__":
    main()
