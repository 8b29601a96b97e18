"""The article's table of interconnects for any model: what each network would do to a split."""

from __future__ import annotations

from nimctl.plan import fabric, predict, tables
from nimctl.plan.answer import FabricRow
from nimctl.plan.choose import Candidate, name
from nimctl.plan.question import Question
from nimctl.plan.split import why_not
from nimctl.plan.work import Split


def network_table(ask: Question, best: Candidate) -> tuple[FabricRow, ...]:
    """One row for each network of the table and each way to take the same number of GPUs over nodes."""
    per_node = ask.gpus_per_node
    nodes = max(2, -(-best.split.gpus // per_node))
    splits = [Split(per_node, nodes), Split(per_node * nodes)]
    if best.split.gpus > per_node:
        splits = [best.split, *splits]
    found = []
    for split in dict.fromkeys(splits):
        if why_not(ask.model, best.form, split, per_node):
            continue
        for row in tables.rows("planning", ask.folder)["networks"].rows("rows"):
            found.append(_row(ask, best, split, row))
    return tuple(found)


def _row(ask: Question, best: Candidate, split: Split, row: tables.Row) -> FabricRow:
    kind = row.text("kind")
    if kind == "nvlink":
        # All GPUs in one NVLink domain, as in a rack of GB200: nothing leaves it.
        speed = predict.measure(ask, best.form, split, network=_domain(ask))
        return FabricRow(
            kind, "", row.text("name"), split.tensor, split.pipeline, ask.gpu.link / 1e9, 0.0, 0.0,
            speed.step * 1e3, speed.token * 1e3, "viable", "no network between nodes is involved",
        )  # fmt: skip
    net = fabric.fabric(
        row.text("rate"), ask.gpus_per_node, kind, int(row.number("ports")), row.text("name"), ask.folder
    )
    speed = predict.measure(ask, best.form, split, network=net)
    ports = "one port for each GPU" if net.ports == ask.gpus_per_node else f"{net.ports} port for the node"
    reason = f"{speed.share:.1%} of a step between nodes with {name(split)}; {ports}"
    return FabricRow(
        kind, net.rate, net.name, split.tensor, split.pipeline, net.per_gpu(ask.gpus_per_node) / 1e9,
        net.latency * 1e6, speed.share, speed.step * 1e3, speed.token * 1e3, speed.verdict, reason,
    )  # fmt: skip


def _domain(ask: Question) -> fabric.Fabric:
    """NVLink as if it were the network between nodes: its bandwidth, and no latency of its own."""
    return fabric.Fabric(
        "NVLink",
        "nvlink",
        "",
        0,
        0.0,
        ask.gpu.link * ask.gpus_per_node or 1e15,
        1e-12,
        1e-12,
        1e-12,
        1e-6,
        "",
    )
