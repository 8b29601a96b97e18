"""Which ways to split a model are possible, and why the others are not."""

from __future__ import annotations

from collections.abc import Iterator

from nimctl.plan.model import Format, Model
from nimctl.plan.work import Split, groups


def why_not(model: Model, form: Format, split: Split, gpus_per_node: int = 0) -> str:
    """Why a split is impossible; empty where it is possible."""
    n = split.tensor
    if min(n, split.pipeline, split.expert, split.data) < 1:
        return "tensor, pipeline, expert and data parallelism are at least 1"
    for layer, _ in groups(model):
        attention, mlp = layer.attention, layer.mlp
        if attention.heads % n:
            return f"{n} tensor ranks do not divide the {attention.heads} attention heads"
        kv = attention.kv_heads
        if attention.kind in ("gqa", "linear") and kv % n and n % kv:
            return f"{n} tensor ranks do not divide the {kv} KV heads, nor the other way round"
        if mlp.experts and mlp.experts % (split.expert):
            return f"{split.expert} do not divide the {mlp.experts} experts"
        whole = mlp.experts and split.expert > 1
        if not whole and mlp.inner % n:
            return f"{n} tensor ranks do not divide the inner width {mlp.inner}"
        if form.block and not whole and (mlp.inner // n) % form.block:
            return (
                f"{n} tensor ranks cut the inner width {mlp.inner} into parts of "
                f"{mlp.inner // n}, which cuts "
                f"blocks of {form.block} that share an FP8 scale"
            )
    if split.pipeline > len(model.layers):
        return f"{split.pipeline} stages are more than the {len(model.layers)} layers"
    if split.expert > n * split.data:
        return f"experts are shared by at most the {n * split.data} GPUs of a stage"
    if gpus_per_node and not _aligned(split, gpus_per_node):
        return f"groups of {n * split.data} GPUs leave ranks unlike on nodes of {gpus_per_node}"
    return ""


def _aligned(split: Split, gpus_per_node: int) -> bool:
    """Whether ranks can take equally many GPUs, and no stage shares a node with a part of another."""
    group = split.tensor * split.data
    nodes = -(-split.gpus // gpus_per_node)
    if split.gpus % nodes:
        return False
    used = split.gpus // nodes
    return used % group == 0 or (group % gpus_per_node == 0 and used == gpus_per_node)


def candidates(
    model: Model, form: Format, nodes: int, gpus_per_node: int, tensor: int = 0, pipeline: int = 0
) -> Iterator[Split]:
    """All splits of one replica that are possible on so many nodes; given parallelism stays."""
    total = nodes * gpus_per_node
    tensors = [tensor] if tensor else _sizes(total, gpus_per_node)
    for n in tensors:
        pipelines = [pipeline] if pipeline else range(1, min(len(model.layers), total // n) + 1)
        for p in pipelines:
            if n * p > total:
                continue
            choices = [Split(n, p)]
            if model.experts and n > 1:
                choices.append(Split(n, p, n))
            for split in choices:
                if not why_not(model, form, split, gpus_per_node):
                    yield split


def _sizes(total: int, gpus_per_node: int) -> list[int]:
    """Tensor sizes worth a look: divisors of a node, and whole nodes up to eight."""
    inside = [n for n in range(1, gpus_per_node + 1) if gpus_per_node % n == 0]
    across = [gpus_per_node * nodes for nodes in (2, 4, 8) if gpus_per_node * nodes <= total]
    return inside + across
