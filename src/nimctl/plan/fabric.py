"""The network between nodes: what a split spends on it, and whether that is viable.

Judged for a split, not for a network: tensor parallelism across nodes sends twice in each layer, pipeline
stages once between two of them. All of it is analytic; no measured row spans nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from nimctl.errors import RejectedError
from nimctl.plan import tables
from nimctl.plan.answer import Verdict
from nimctl.plan.model import Model
from nimctl.plan.work import Split


@dataclass(frozen=True, slots=True)
class Fabric:
    """How each node is attached: bytes per second of a node, seconds of an all-reduce and of one message."""

    name: str
    kind: str
    rate: str
    ports: int
    gbps: float
    node: float
    latency: float
    latency_low: float
    latency_high: float
    hop: float
    source: str

    def per_gpu(self, gpus: int) -> float:
        """Bytes per second that each of a node's GPUs gets, as if all send at once."""
        return self.node / gpus


def _transport(kind: str, folder: Path | None) -> tables.Row:
    table = tables.rows("planning", folder)
    return next(table[name] for name in ("rdma", "sockets") if kind in table[name].texts("kinds"))


def fabric(
    rate: str, gpus: int, kind: str | None = None, ports: int = 0, name: str = "", folder: Path | None = None
) -> Fabric:
    """A fabric of a rate of the table; ``ports`` 0 is one for each GPU. Raises RejectedError."""
    table = tables.rows("fabrics", folder)
    key = rate.strip().lower().replace("gbe", "g").replace(" ", "")
    wanted, _, told = key.partition("-")
    for prefix in ("roce", "ethernet", "infiniband", "ib"):
        if wanted == prefix and told:
            kind, key = {"ib": "infiniband"}.get(prefix, prefix), told
    row = table.get(key)
    if row is None:
        near = get_close_matches(key, table, 1, 0.5)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise RejectedError(f"{rate}: no rate of the fabric table{hint} It has {', '.join(table)}")
    kinds = row.texts("kinds")
    kind = kind or kinds[0]
    if kind not in kinds:
        raise RejectedError(f"{rate}: is no rate of {kind}, only of {' and '.join(kinds)}")
    if ports < 0:
        raise RejectedError(f"{ports} ports: expected at least one for each node")
    how = _transport(kind, folder)
    gbps = row.number("gbps")
    count = ports or gpus
    return Fabric(
        name or f"{kind} {key}",
        kind,
        key,
        count,
        gbps,
        gbps / 8 * 1e9 * count * how.number("efficiency"),
        how.number("latency_us") * 1e-6,
        how.number("latency_low_us") * 1e-6,
        how.number("latency_high_us") * 1e-6,
        how.number("hop_us") * 1e-6,
        f"{row.text('source')}; {how.text('source')}",
    )


def spans(split: Split, gpus_per_node: int) -> int:
    """How many nodes one tensor group takes."""
    return -(-split.tensor * split.data // gpus_per_node)


def between(
    model: Model, split: Split, network: Fabric | None, gpus_per_node: int, tokens: float, latency: float = 0
) -> float:
    """Seconds that one pass of ``tokens`` tokens spends between nodes.

    Tensor groups that span N nodes: 2 L (alpha + 2 (N-1)/N bytes / node bandwidth). Pipeline boundaries
    between nodes: hop + bytes / the bandwidth of the sending ranks.
    """
    if network is None:
        return 0.0
    reach = spans(split, gpus_per_node)
    size = max(tokens, 1.0) * model.hidden * 2
    total = 0.0
    if reach > 1:
        alpha = latency or network.latency
        total += 2 * len(model.layers) * (alpha + 2 * (reach - 1) / reach * size / network.node)
    crossings = _crossings(split, gpus_per_node)
    # Each tensor rank sends its share of the activations through the port beside it.
    share = min(1.0, split.tensor * split.data / gpus_per_node)
    return total + crossings * (network.hop + size / (network.node * share))


def _crossings(split: Split, gpus_per_node: int) -> int:
    """Pipeline boundaries that lie between nodes."""
    group = split.tensor * split.data
    return sum(
        1
        for stage in range(1, split.pipeline)
        if stage * group // gpus_per_node != ((stage - 1) * group) // gpus_per_node
    )


def verdict(share: float, folder: Path | None = None) -> Verdict:
    """Viable, degraded or unviable, by the share of a decode step that is spent between nodes."""
    row = tables.rows("planning", folder)["verdict"]
    if share > row.number("unviable"):
        return "unviable"
    return "degraded" if share > row.number("degraded") else "viable"
